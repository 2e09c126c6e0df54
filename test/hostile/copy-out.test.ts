import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RunView, TaskView } from '#contract/run.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const root = new URL('../..', import.meta.url).pathname;

let daemon: TestDaemon;
let dir: string;
let made = 0;

beforeAll(async () => {
  daemon = await TestDaemon.start();
});

afterAll(async () => {
  await daemon?.stop();
  // What the trash still holds is deeper than Node can remove.
  if (daemon !== undefined) execFileSync('rm', ['-rf', daemon.dir]);
});

beforeEach(() => {
  made += 1;
  dir = join(daemon.dir, `work-${made}`);
  mkdirSync(join(dir, 'given'), { recursive: true });
  writeFileSync(join(dir, 'keep.txt'), 'mine\n');
  writeFileSync(join(dir, 'given/file'), 'given\n');
});

type Wish = { script: string; node?: boolean; deps?: string[]; output?: string };
type Said = { type: string; task: string; data: Record<string, unknown> };
type Ended = { run: RunView; tasks: Record<string, TaskView>; said: (type: string) => Said[] };

/** One run in one workspace, and what the log says of it. */
async function attack(wishes: Record<string, Wish>): Promise<Ended> {
  const tasks = Object.entries(wishes).map(([id, { script, node, deps, output }]) => ({
    id,
    tool: node === true ? 'node' : 'sh',
    args: [node === true ? '-e' : '-c', script],
    deps: deps ?? [],
    outputs: output === undefined ? [] : [{ name: 'out', path: output }],
    on_failure: 'continue',
  }));
  const file = join(daemon.dir, `plan-${made}.yaml`);
  writeFileSync(file, JSON.stringify({ version: 1, tasks }));
  const reports = join(daemon.dir, 'reports');
  const ran = await daemon.cli(
    ['run', '--plan', file, '--output', 'plain', '--report-dir', reports],
    { cwd: dir },
  );
  const run = JSON.parse((await daemon.cli(['show', '@last', '--json'])).stdout) as RunView;
  if (run.tasks.length === 0) throw new Error(`the plan was refused: ${ran.stdout}${ran.stderr}`);
  const { text } = await daemon.ask('GET', `/v1/runs/${run.id}/events`);
  const records = text
    .split('\n')
    .flatMap((line) => (line.startsWith('data: {"') ? [JSON.parse(line.slice(6)) as Record_] : []));
  return {
    run,
    tasks: Object.fromEntries(run.tasks.map((task) => [task.id, task])),
    said: (type) =>
      records
        .filter((record) => record.type === type)
        .map(({ data, obj }) => ({ type, task: obj?.['task'] ?? '', data })),
  };
}

type Record_ = { type: string; obj?: Record<string, string>; data: Record<string, unknown> };

const logOf = async (run: RunView, task: string) =>
  (await daemon.cli(['logs', run.id, task, '--raw'])).stdout;

test('attributes that a task plants reach no other task, and are on record', async () => {
  for (const part of ['koffi', '@koromix']) {
    const from = join(root, 'node_modules', part);
    cpSync(from, join(dir, 'node_modules', part), { recursive: true, dereference: true });
  }
  const calls = `
    const libc = require('koffi').load('libc.so.6');
    const set = libc.func('int setxattr(str path, str name, str value, size_t size, int flags)');
    const list = libc.func('int listxattr(str path, _Out_ uint8_t *names, size_t size)');
    const paths = ['.', 'given', 'given/file', 'new', 'new/file'];`;
  const { run, tasks, said } = await attack({
    plant: {
      node: true,
      script: `${calls}
        require('fs').mkdirSync('new');
        require('fs').writeFileSync('new/file', '');
        let done = 0;
        for (const path of paths) for (const name of ['note', 'overlay.redirect', 'overlay.metacopy', 'overlay.opaque', 'overlay.whiteout', 'overlay.origin', 'overlay.overlay.redirect'])
          if (set(path, 'user.' + name, '/given', 6, 0) === 0) done += 1;
        console.log(done);`,
    },
    look: {
      node: true,
      deps: ['plant'],
      script: `${calls}
        const names = Buffer.alloc(65536);
        const found = paths.map((path) => names.toString('latin1', 0, Math.max(0, list(path, names, names.length))));
        console.log(JSON.stringify({ found, ls: require('fs').readdirSync('new'), given: require('fs').readdirSync('given') }));`,
    },
  });
  expect(tasks['look']?.state).toBe('succeeded');
  // The plain one always works, so the task could plant at all.
  expect(Number(await logOf(run, 'plant'))).toBeGreaterThanOrEqual(5);
  expect(JSON.parse(await logOf(run, 'look'))).toEqual({
    found: ['', '', '', '', ''],
    ls: ['file'],
    given: ['file'],
  });
  expect(said('layer.left_out')).toEqual([
    {
      type: 'layer.left_out',
      task: 'plant',
      data: {
        attempt: 1,
        entries: 5,
        first: expect.arrayContaining([{ path: 'given/file', reason: 'attribute' }]),
      },
    },
  ]);
});

test('what is no plain file, has odd bits or an odd name is disarmed or left out, and on record', async () => {
  const { run, tasks, said } = await attack({
    make: {
      node: true,
      output: 'out',
      script: `
        const fs = require('fs');
        fs.mkdirSync('out');
        fs.writeFileSync('out/tool', 'x'); fs.chmodSync('out/tool', 0o6777);
        fs.writeFileSync('out/' + 'n'.repeat(255), 'x');
        fs.writeFileSync('out/new\\nline', 'x');
        fs.writeFileSync(Buffer.concat([Buffer.from('out/b'), Buffer.from([255])]), 'x');
        fs.symlinkSync('/etc/passwd', 'out/link');
        for (const kind of ['b 8 0', 'c 1 3', 'c 0 0'])
          try { require('child_process').execSync('busybox mknod out/dev ' + kind + ' || mknod out/dev ' + kind, { stdio: 'ignore' }); console.log('made ' + kind); } catch {}
        require('child_process').execSync('mkfifo out/pipe || busybox mkfifo out/pipe', { stdio: 'ignore' });
        require('net').createServer().listen('out/socket', () => process.reallyExit(0));`,
    },
    look: {
      node: true,
      script:
        "const fs = require('fs'); console.log(fs.statSync('out/tool').mode.toString(8), fs.readdirSync('out').length)",
      deps: ['make'],
    },
  });
  expect(tasks['make']).toMatchObject({ state: 'succeeded', artifacts: [{ kind: 'directory' }] });
  // No device came to be; of the rest the next task sees the plain ones and the link.
  expect(await logOf(run, 'make')).toBe('');
  expect(await logOf(run, 'look')).toBe('100755 5\n');
  const layer = said('layer.left_out')[0]?.data;
  expect(layer).toMatchObject({
    entries: 3,
    first: expect.arrayContaining([
      { path: 'out/pipe', reason: 'fifo' },
      { path: 'out/socket', reason: 'socket' },
      { path: 'out/tool', reason: 'set-id' },
    ]),
  });
  const artifact = said('artifact.left_out')[0]?.data;
  expect(artifact).toMatchObject({
    name: 'out',
    entries: 4,
    first: expect.arrayContaining([
      { path: 'link', reason: 'link' },
      { path: expect.stringMatching(/^\/b64\//), reason: 'name' },
    ]),
  });
});

test('a sparse file costs its apparent size before a byte of it is read', async () => {
  const { tasks, said } = await attack({
    terabyte: {
      node: true,
      script: `
        const fs = require('fs');
        process.on('SIGXFSZ', () => {});
        try { fs.truncateSync(fs.openSync('bomb', 'w'), 2 ** 40); } catch (e) { console.log(e.code); }
        process.exit(3);`,
    },
    // Each as large as one file may be: more than all artifacts of a run, and next to no block.
    many: {
      node: true,
      output: 'out',
      script: `
        const fs = require('fs');
        fs.mkdirSync('out');
        for (let i = 0; i < 4; i += 1) { fs.writeFileSync('out/' + i, ''); fs.truncateSync('out/' + i, 2 ** 30); }`,
    },
  });
  expect(tasks['terabyte']?.state).toBe('failed');
  expect(tasks['many']).toMatchObject({ state: 'failed', exitCode: 0, artifacts: [] });
  expect(tasks['many']?.reason).toContain('bytes');
  expect(said('artifact.rejected')[0]).toMatchObject({
    task: 'many',
    data: { name: 'out', reason: expect.stringMatching(/^more than \d+ bytes$/) },
  });
  expect(said('layer.sealed')).toEqual([]);
  const kept = execFileSync('du', ['-sm', join(daemon.stateDir, 'blobs')]).toString();
  expect(Number.parseInt(kept, 10)).toBeLessThan(1024);
});

test('a tree of 4096 levels ends its task and is gone, inside an output and outside', async () => {
  const dig = `
    const fs = require('fs');
    fs.mkdirSync('out'); process.chdir('out');
    for (let i = 0; i < 4096; i += 1) { fs.mkdirSync('deeper'); process.chdir('deeper'); }
    fs.writeFileSync('bottom', 'x');`;
  const { tasks, said } = await attack({
    output: { node: true, script: dig, output: 'out' },
    layer: { node: true, script: dig },
    after: { script: 'ls' },
  });
  // Whoever looks first: the measure of the disk, the collection or the seal.
  for (const id of ['output', 'layer']) {
    expect(tasks[id]).toMatchObject({ state: 'failed', artifacts: [] });
    expect(tasks[id]?.reason).toMatch(/nested deeper than|disk_files/);
  }
  expect(tasks['after']?.state).toBe('succeeded');
  expect(said('layer.dropped').map(({ task }) => task)).toEqual(
    expect.arrayContaining(['output', 'layer']),
  );
});

test('a hard link leads neither into the snapshot nor out of the layer', async () => {
  const { run, tasks } = await attack({
    link: {
      script:
        'ln keep.txt twin; echo more >> twin; ln twin third; ln -P /etc/passwd stolen 2>/dev/null; mkdir out; ln twin out/a; ln twin out/b; ls',
      output: 'out',
    },
    look: { script: 'cat keep.txt twin third out/a', deps: ['link'] },
    apart: { script: 'cat keep.txt' },
  });
  expect(tasks['link']).toMatchObject({ state: 'succeeded', artifacts: [{ bytes: 20 }] });
  expect(await logOf(run, 'link')).not.toContain('stolen');
  expect(await logOf(run, 'look')).toBe('mine\nmore\n'.repeat(4));
  // The snapshot is made of links into the store of contents: it is what it was.
  expect(await logOf(run, 'apart')).toBe('mine\n');
  expect(readFileSync(join(dir, 'keep.txt'), 'utf8')).toBe('mine\n');
});

test('after all of it the daemon is well and its log verifies', async () => {
  expect((await daemon.cli(['audit', 'verify'])).code).toBe(0);
  expect((await daemon.cli(['exec', '--', 'echo', 'well'], { cwd: dir })).stdout).toBe('well\n');
});
