import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { extract } from 'tar-stream';
import { type Attack, down, held, type Seen, skipped, type Verdict, verdict } from '../attack.ts';
import type { Field } from '../field.ts';
import { allRefused, began, notTried, outputRefused } from '../judge.ts';

const refusedOutput = 'The task ends well, its output is refused, and nothing is collected.';
const bytesMax = 8 * 1024 * 1024;

const scripts: readonly Attack[] = [
  {
    id: 'files.link-to-host',
    title: 'An output that is a link to a file of the host',
    attack: 'The declared output is a link to a file that exists on this machine.',
    expects: refusedOutput,
    outputs: { o: 'out' },
    script: `fs.symlinkSync(facts.outside + '/secret.txt', 'out'); began();`,
    judge: outputRefused,
  },
  {
    id: 'files.link-to-shadow',
    title: 'An output that is a link to /etc/shadow',
    attack: 'The pattern of CVE-2024-28185: whoever follows it reads as root.',
    expects: refusedOutput,
    outputs: { o: 'out' },
    script: `fs.symlinkSync('/etc/shadow', 'out'); began();`,
    judge: outputRefused,
  },
  {
    id: 'files.link-upwards',
    title: 'An output that leads through a link upwards',
    attack: 'A directory on the way is a relative link out of the workspace.',
    expects: refusedOutput,
    outputs: { o: 'out/secret.txt' },
    script: `fs.symlinkSync('../'.repeat(40) + facts.outside.slice(1), 'out'); began();`,
    judge: outputRefused,
  },
  {
    id: 'files.link-to-proc',
    title: 'An output that is the environment of whoever reads it',
    attack: 'Links to /proc/self/environ and to the root of process 1.',
    expects: refusedOutput,
    outputs: { o: 'out', p: 'root/etc/passwd' },
    script: `fs.symlinkSync('/proc/self/environ', 'out'); fs.symlinkSync('/proc/1/root', 'root'); began();`,
    judge: outputRefused,
  },
  {
    id: 'files.fifo',
    title: 'An output that never ends',
    attack: 'The declared output is a FIFO: whoever opens it waits for ever.',
    expects: refusedOutput,
    outputs: { o: 'out' },
    script: `program('/bin/busybox', 'mkfifo', 'out'); began();`,
    judge: outputRefused,
  },
  {
    id: 'files.socket',
    title: 'An output that is a socket',
    attack: 'The declared output is a unix socket that was listened on.',
    expects: refusedOutput,
    outputs: { o: 'out' },
    script: `await new Promise((resolve) => net.createServer().listen('out', resolve)); began(); process.reallyExit(0);`,
    judge: outputRefused,
  },
  {
    id: 'files.hard-link',
    title: 'A hard link to a file of elsewhere',
    attack: 'Links files of the image, of /proc and of the other mounts into the workspace.',
    expects: 'Every link is refused.',
    script: String.raw`
      await tries({
        'a file of the image': () => fs.linkSync('/etc/passwd', 'passwd'),
        'a program': () => fs.linkSync('/bin/busybox', 'program'),
        'its own environment': () => fs.linkSync('/proc/self/environ', 'environ'),
        'a file in /tmp': () => { fs.writeFileSync('/tmp/own', 'x'); fs.linkSync('/tmp/own', 'tmp'); },
      });`,
  },
  {
    id: 'files.swap',
    title: 'A directory that is swapped while it is read',
    attack: 'A detached process swaps a directory with a link to the host without end.',
    expects: 'What is collected, if anything, is the own file: the process is dead by then.',
    outputs: { o: 'out/secret.txt' },
    script: String.raw`
      fs.mkdirSync('real'); fs.writeFileSync('real/secret.txt', 'own'); fs.symlinkSync(facts.outside, 'fake');
      const endless = "const fs = require('fs'); for (;;) { try { fs.renameSync('real', 'out'); fs.renameSync('out', 'real'); fs.renameSync('fake', 'out'); fs.renameSync('out', 'fake'); } catch {} }";
      cp.spawn(process.execPath, ['-e', endless], { detached: true, stdio: 'ignore' }).unref();
      began(); await sleep(400); process.reallyExit(0);`,
    judge: async (seen, field) => {
      if (!began(seen)) return notTried(seen);
      const [artifact] = seen.task?.artifacts ?? [];
      if (artifact === undefined) return held(seen.task?.reason ?? 'nothing was collected');
      const content = await download(field, seen, 'o');
      return verdict(content.toString('latin1') === 'own', `collected ${content.length} bytes`);
    },
  },
  {
    id: 'files.sparse',
    title: 'A file of one tebibyte that is empty',
    attack: 'Makes a sparse file, which costs nothing here and everything to whoever copies it.',
    expects: 'Refused by the limit of a file.',
    outputs: { o: 'sparse' },
    script: String.raw`
      await tries({
        'one tebibyte': () => { const fd = fs.openSync('sparse', 'w'); fs.ftruncateSync(fd, 2 ** 40); },
        'by a write at the end': () => { const fd = fs.openSync('sparse', 'w'); fs.writeSync(fd, Buffer.from('x'), 0, 1, 2 ** 40); },
      });`,
    limits: { file_size: '64MiB' },
    judge: (seen) => {
      const [sparse] = seen.task?.artifacts ?? [];
      if (sparse !== undefined && sparse.bytes > 64 * 1024 ** 2) {
        return down(`an output of ${sparse.bytes} bytes was collected`);
      }
      if (seen.task?.limit === 'file_size') return held('ended by its limit of file_size');
      return allRefused(seen, ['EFBIG', 'EINVAL']);
    },
  },
  {
    id: 'files.deep',
    title: 'A tree without end',
    attack: 'An output of 1,000 directories inside each other.',
    expects: refusedOutput,
    outputs: { o: 'out' },
    script: String.raw`
      fs.mkdirSync('out'); process.chdir('out');
      for (let i = 0; i < 1000; i += 1) { fs.mkdirSync('d'); process.chdir('d'); }
      began(); process.reallyExit(0);`,
    judge: outputRefused,
  },
  {
    id: 'files.names',
    title: 'Names that lead astray',
    attack:
      'An output directory with names for other systems, line ends, escape sequences, bytes that are no text, links, set-id bits.',
    expects: 'A tar of plain files and directories whose names all stay beneath it.',
    outputs: { o: 'out' },
    script: String.raw`
      const name = (text) => Buffer.concat([Buffer.from('out/'), Buffer.from(text, 'latin1')]);
      fs.mkdirSync('out/deep', { recursive: true });
      for (const text of ['..\\..\\evil', 'C:evil', '...', '-rf', 'new\nline', '\x1b]0;owned\x07', 'b\xffd', ' ', '__proto__', 'a'.repeat(255)]) fs.writeFileSync(name(text), 'x');
      fs.writeFileSync('out/deep/set-id', 'x'); fs.chmodSync('out/deep/set-id', 0o6777); fs.chmodSync('out/deep', 0o3777);
      fs.symlinkSync('/etc/passwd', 'out/link'); fs.symlinkSync('..', 'out/deep/up'); fs.linkSync('out/deep/set-id', 'out/hard');
      began();`,
    judge: async (seen, field) => {
      if (!began(seen)) return notTried(seen);
      const [artifact] = seen.task?.artifacts ?? [];
      if (artifact === undefined) {
        return held(`the whole directory was refused: ${seen.task?.reason ?? ''}`);
      }
      const wrong = await entriesAstray(await download(field, seen, 'o'));
      return verdict(
        wrong.length === 0,
        wrong.length === 0 ? 'every entry is harmless' : wrong.join(', '),
      );
    },
  },
  {
    id: 'files.whiteout',
    title: 'Forge what a layer hides',
    attack: 'Makes the devices and marks by which overlay file systems hide and redirect.',
    expects: 'Refused, or without any effect on what the task sees.',
    files: { 'below/kept.txt': 'kept' },
    script: String.raw`
      const mark = (name, value) => () => {
        sys('setxattr', 'below', name, value, value.length, 0);
        if (fs.readFileSync('below/kept.txt', 'utf8') === 'kept' && list('below').length === 1) nothing('it is set and means nothing');
      };
      await tries({
        'the device of a deletion': () => { program('/bin/busybox', 'mknod', 'below/whiteout', 'c', '0', '0'); return 'made'; },
        'a trusted mark': mark('trusted.overlay.opaque', 'y'),
        'a user mark': mark('user.overlay.opaque', 'y'),
        'a redirect': mark('user.overlay.redirect', '/scripts'),
        'a security label': mark('security.capability', 'x'),
      });`,
    judge: (seen) => allRefused(seen, ['EINVAL']),
  },
];

/** The exact bytes of an output, through the product's own API. */
async function download(field: Field, { run, task }: Seen, name: string): Promise<Buffer> {
  return field.client.content('artifactGet', {
    params: { id: run.id, task: task?.id ?? '', name },
    bytesMax,
  });
}

async function entriesAstray(tar: Buffer): Promise<string[]> {
  const wrong: string[] = [];
  for await (const entry of Readable.from([tar]).pipe(extract())) {
    const { name, type, mode } = entry.header;
    const parts = name.split('/');
    if (type !== 'file' && type !== 'directory') wrong.push(`${name} is a ${type ?? 'thing'}`);
    if (parts.includes('..') || name.startsWith('/')) wrong.push(`${name} leads out`);
    if (((mode ?? 0) & 0o7000) !== 0) wrong.push(`${name} has set-id bits`);
    entry.resume();
  }
  return wrong;
}

const stacked: Attack = {
  id: 'files.redirect-later',
  title: 'Redirect a later task to other files',
  attack:
    'One task marks a directory as redirected and hidden; the task after it looks through the seal.',
  expects: 'The later task sees the directory as it was written.',
  play: async (field) => {
    const { seen } = await field.play([
      {
        id: 'marks',
        files: { 'trap/kept.txt': 'kept' },
        script: String.raw`
          const set = (name, value) => { try { sys('setxattr', 'trap', name, value, value.length, 0); } catch {} };
          set('user.overlay.redirect', '/scripts'); set('user.overlay.opaque', 'y'); set('user.overlay.origin', 'x'); set('user.overlay.metacopy', 'x');
          set('user.overlay.overlay.redirect', '/scripts'); set('user.overlay.overlay.opaque', 'y');
          fs.chmodSync('trap', 0o777); fs.writeFileSync('trap/new.txt', 'new'); began();`,
      },
      {
        id: 'looks',
        deps: ['marks'],
        script: String.raw`
          const names = list('/workspace/marks/trap').sort().join(' ');
          await tries({ 'other files': () => { if (names === 'kept.txt new.txt' && read('/workspace/marks/trap/kept.txt') === 'kept') nothing(names); return names || 'nothing'; } });`,
      },
    ]);
    const [marks, looks] = [seen.get('marks'), seen.get('looks')];
    if (marks === undefined || !began(marks)) return skipped('the first task did not run');
    // Refused at the seal is as good: then nobody sees it.
    if (marks.task?.state === 'failed') return held(marks.task.reason ?? 'refused at the seal');
    return looks === undefined ? skipped('the second task did not run') : allRefused(looks);
  },
};

const tooMany: Attack = {
  id: 'files.too-many',
  title: 'More outputs than are allowed',
  attack: 'With a policy of 100 files and 1 MiB: 101 files, and one of 2 MiB.',
  expects: 'Both are refused as a whole.',
  play: async (field) => {
    const run = {
      ...(field.policyDocument['run'] as object),
      artifact_files: 100,
      artifact_bytes: '1MiB',
    };
    const policy = { ...field.policyDocument, name: 'selftest', run };
    const { seen } = await field.play(
      [
        {
          id: 'many',
          script: `fs.mkdirSync('out'); for (let i = 0; i < 101; i += 1) fs.writeFileSync('out/' + i, ''); began();`,
          outputs: { o: 'out' },
        },
        {
          id: 'large',
          script: `fs.writeFileSync('out', Buffer.alloc(2 << 20)); began();`,
          outputs: { o: 'out' },
        },
      ],
      { policy },
    );
    const verdicts = ['many', 'large'].map((id): Verdict => {
      const own = seen.get(id);
      return own === undefined ? skipped(`${id} did not run`) : outputRefused(own);
    });
    return worst(verdicts);
  },
};

function worst(verdicts: readonly Verdict[]): Verdict {
  const order = [false, 'skipped', true] as const;
  const found = order.find((each) => verdicts.some(({ held: one }) => one === each)) ?? 'skipped';
  return { held: found, happened: verdicts.map(({ happened }) => happened).join('; ') };
}

const hostileWorkspace: Attack = {
  id: 'files.workspace',
  title: 'A workspace that leads out',
  attack: 'Absolute and climbing links, a FIFO, and names with line ends and escape sequences.',
  expects: 'Links that lead out and special files stay at home; odd names arrive as they are.',
  play: async (field) => {
    const dir = await field.folder('hostile');
    await symlink('/etc/passwd', path.join(dir, 'absolute'));
    await symlink('../../../..', path.join(dir, 'upwards'));
    await symlink(field.outside, path.join(dir, 'outside'));
    await promisify(execFile)('mkfifo', [path.join(dir, 'fifo')]);
    await writeFile(path.join(dir, 'new\nline'), 'n');
    await writeFile(path.join(dir, '\u001b[31mred'), 'r');
    const { leftOut } = await field.snapshot(dir);
    const { seen } = await field.play(
      [
        {
          id: 'looks',
          script: String.raw`
            const names = list('/workspace').sort().map((name) => JSON.stringify(name)).join(' ');
            await tries({
              'what should be at home': () => look('names', list('/workspace'), (name) => ['absolute', 'upwards', 'outside', 'fifo'].includes(name)),
              'a name that changed': () => { if (names.includes('"new\\nline"') && names.includes('[31mred"')) nothing(names); return names; },
            });`,
        },
      ],
      { workspace: dir },
    );
    const looks = seen.get('looks');
    if (looks === undefined) return skipped('the task did not run');
    const judged = allRefused(looks);
    const said = `left out: ${leftOut.map(({ path: name }) => name).join(' ')}`;
    return { held: judged.held, happened: `${judged.happened}; ${said}` };
  },
};

const uploads: Attack = {
  id: 'files.upload',
  title: 'An upload that writes elsewhere',
  attack: 'Frames with climbing and absolute paths, through a link, with a NUL, without end.',
  expects: 'Every upload is refused as invalid.',
  play: async (field) => {
    const link = '{"type":"symlink","path":"l","target":"/tmp"}\n';
    const bodies = {
      climbing: '{"type":"dir","path":"../x"}\n',
      absolute: '{"type":"dir","path":"/x"}\n',
      'through a link': `${link}{"type":"dir","path":"l/x"}\n{"type":"end","entries":2}\n`,
      'with a NUL': '{"type":"dir","path":"a\\u0000b"}\n',
      'beyond its size':
        '{"type":"file","path":"f","executable":false,"bytes":1,"content":true}\nxx',
      'a dot': '{"type":"dir","path":"a/./b"}\n',
      'without end': '{'.repeat(40_000),
      'cut off': '{"type":"dir","path":"x"}\n',
    };
    const answers: string[] = [];
    let isHeld = true;
    for (const [name, body] of Object.entries(bodies)) {
      const { status, code } = await field.ask({
        method: 'POST',
        path: '/v1/snapshots',
        body,
        headers: { 'content-type': 'application/vnd.orchestra.snapshot' },
      });
      answers.push(`${name} → ${status} ${code}`);
      isHeld &&= status >= 400 && status < 500;
    }
    return verdict(isHeld && (await field.isReady()), answers.join(', '));
  },
};

const applied: Attack = {
  id: 'files.apply',
  title: 'Changes that leave the directory when they are applied',
  attack:
    'A run writes where somebody put a link meanwhile, makes links that lead out, and a hook of git.',
  expects:
    'The link is refused, nothing outside changes, no hook and no link that leads out is made.',
  play: async (field) => {
    const dir = await field.folder('apply');
    await mkdir(path.join(dir, '.git/hooks'), { recursive: true });
    const { run, seen } = await field.play(
      [
        {
          id: 'plant',
          script: String.raw`
            process.chdir('..');
            fs.mkdirSync('.git/hooks', { recursive: true }); fs.writeFileSync('.git/hooks/pre-commit', 'evil');
            fs.symlinkSync(facts.outside, 'leads'); fs.symlinkSync('../../..', 'up');
            fs.mkdirSync('made'); fs.writeFileSync('made/file', 'new'); began();`,
        },
      ],
      { workspace: dir },
    );
    const own = seen.get('plant');
    if (own === undefined || !began(own) || own.task?.state !== 'succeeded') {
      return skipped('the task did not run to its end');
    }
    await symlink(field.outside, path.join(dir, 'made'));
    const refused = await field.cli(['apply', run.id, '-w', dir]);
    const outside = await readdir(field.outside);
    await rm(path.join(dir, 'made'));
    const done = await field.cli(['apply', run.id, '-w', dir]);
    const names = await readdir(dir);
    const hooks = await readdir(path.join(dir, '.git/hooks'));
    const kept = await readFile(path.join(field.outside, 'secret.txt'), 'utf8');
    const facts = [
      `with a link in the way: exit ${refused.code}`,
      `without: exit ${done.code}`,
      `hooks: ${hooks.length}`,
      `links made: ${names.filter((name) => ['leads', 'up'].includes(name)).join(' ') || 'none'}`,
    ];
    const isHeld =
      refused.code !== 0 &&
      outside.length === 1 &&
      done.code === 0 &&
      hooks.length === 0 &&
      kept === field.canary &&
      !names.includes('leads') &&
      !names.includes('up');
    return verdict(isHeld, facts.join(', '));
  },
};

const otherRun: Attack = {
  id: 'files.other-run',
  title: 'Read the files of another run',
  attack: "Asks one run for the content and the outputs of another run's digests and names.",
  expects: 'Not found: a digest alone opens nothing.',
  play: async (field) => {
    const make = (text: string) =>
      field.play([
        {
          id: 'writes',
          script: `fs.writeFileSync('out.txt', ${JSON.stringify(text)}); began();`,
          outputs: { o: 'out.txt' },
        },
      ]);
    const [one, two] = [await make(`one ${field.token}`), await make(`two ${field.token}`)];
    const [artifact] = one.seen.get('writes')?.task?.artifacts ?? [];
    if (artifact === undefined) return skipped('there was no output to ask for');
    const answers: string[] = [];
    let isHeld = true;
    const digest = `sha256:${artifact.sha256}`;
    for (const [at, wanted] of [
      [`/v1/runs/${one.run.id}/blobs/${digest}`, 200],
      [`/v1/runs/${two.run.id}/blobs/${digest}`, 404],
      [`/v1/runs/${two.run.id}/artifacts/writes/..%2f..%2f${one.run.id}%2fwrites%2fo`, 404],
      [`/v1/runs/${two.run.id}/tasks/..%2fwrites/log`, 404],
    ] as const) {
      const { status } = await field.ask({ path: at });
      answers.push(String(status));
      isHeld &&= wanted === 404 ? status >= 400 && status < 500 : status === wanted;
    }
    return verdict(isHeld, `own: ${answers[0]}; of the other run: ${answers.slice(1).join(', ')}`);
  },
};

const damaged: Attack = {
  id: 'files.wrong-digest',
  title: 'Start from files that were never uploaded',
  attack: 'Asks for a run on a digest that is unknown, and on one that is a path.',
  expects: 'Refused, and no run begins.',
  play: async (field) => {
    const answers: string[] = [];
    let isHeld = true;
    for (const snapshot of [
      `sha256:${'0'.repeat(64)}`,
      '../../../../etc',
      'sha256:../../etc/passwd',
    ]) {
      const body = JSON.stringify({ intent: 'x', snapshot, exec: ['true'] });
      const { status, code } = await field.ask({ method: 'POST', path: '/v1/runs', body });
      answers.push(`${status} ${code}`);
      isHeld &&= status >= 400 && status < 500;
    }
    return verdict(isHeld, answers.join(', '));
  },
};

export const fileAttacks: readonly Attack[] = [
  ...scripts,
  stacked,
  tooMany,
  hostileWorkspace,
  uploads,
  applied,
  otherRun,
  damaged,
];
