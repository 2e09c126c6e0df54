import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { extract } from 'tar-stream';
import type { Artifact, RunView, TaskView } from '#contract/run.ts';
import { containersOf } from '#test/support/containers.ts';
import { TestDaemon, type Ran } from '#test/support/daemon.ts';

const root = new URL('../..', import.meta.url).pathname;
const secret = 'the-secret-of-the-host-5d1c';

let daemon: TestDaemon;
let dir: string;
let outside: string;
let made = 0;
let runs: string[] = [];

beforeAll(async () => {
  vi.stubEnv('ORCHESTRA_TEST_SECRET', secret);
  daemon = await TestDaemon.start();
  outside = join(daemon.dir, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret.txt'), secret);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  vi.unstubAllEnvs();
});

beforeEach(() => {
  made += 1;
  runs = [];
  dir = join(daemon.dir, `work-${made}`);
  mkdirSync(dir);
  writeFileSync(join(dir, 'keep.txt'), 'mine');
});

// Whatever a task tried: nothing outside changed, and no container is left.
afterEach(async () => {
  expect(readdirSync(outside)).toEqual(['secret.txt']);
  expect(readFileSync(join(outside, 'secret.txt'), 'utf8')).toBe(secret);
  expect(readFileSync(join(dir, 'keep.txt'), 'utf8')).toBe('mine');
  for (const run of runs) {
    await expect.poll(async () => containersOf(run, daemon.stateDir)).toEqual([]);
  }
});

type Wish = {
  script: string;
  node?: boolean;
  limits?: object;
  outputs?: Record<string, string>;
  deps?: string[];
};

/** One run of tasks, each an attack in a directory of its own. */
async function attack(
  tasks: Record<string, Wish>,
  flags: readonly string[] = [],
): Promise<Ran & { run: RunView; tasks: Record<string, TaskView> }> {
  const plan = {
    version: 1,
    tasks: Object.entries(tasks).map(([id, { script, node, limits, outputs, deps }]) => ({
      id,
      cwd: id,
      deps: deps ?? [],
      tool: node === true ? 'node' : 'sh',
      args: [node === true ? '-e' : '-c', script],
      limits: limits ?? {},
      outputs: Object.entries(outputs ?? {}).map(([name, path]) => ({
        name,
        path: `${id}/${path}`,
      })),
    })),
  };
  for (const id of Object.keys(tasks)) {
    mkdirSync(join(dir, id), { recursive: true });
    writeFileSync(join(dir, id, 'own.txt'), 'own');
  }
  const file = join(daemon.dir, `plan-${made}.yaml`);
  writeFileSync(file, JSON.stringify(plan));
  const args = [
    'run',
    '--plan',
    file,
    '--output',
    'plain',
    '--report-dir',
    join(daemon.dir, 'reports'),
  ];
  const ran = await daemon.cli([...args, ...flags], { cwd: dir });
  const run = JSON.parse((await daemon.cli(['show', '@last', '--json'])).stdout) as RunView;
  runs.push(run.id);
  if (run.tasks.length === 0) throw new Error(`the plan was refused: ${ran.stdout}`);
  return { ...ran, run, tasks: Object.fromEntries(run.tasks.map((task) => [task.id, task])) };
}

async function exec(...command: string[]): Promise<Ran> {
  const ran = await daemon.cli(['exec', '--', ...command], { cwd: dir });
  const run = JSON.parse((await daemon.cli(['show', '@last', '--json'])).stdout) as RunView;
  runs.push(run.id);
  return ran;
}

// With cgroup v1 crun puts a memory file system of 1 MiB there, noexec, nosuid, nodev, the sandbox's own.
const onCrun = process.env['ORCHESTRA_TEST_RUNTIME'] === 'crun';
// gVisor's own kernel answers these calls, and says nothing about the host's.
const ownKernel = process.env['ORCHESTRA_TEST_RUNTIME'] === 'runsc';

test.skipIf(process.arch !== 'x64' || ownKernel)(
  'the kernel refuses a task everything that leads out (its calls are numbered for x64)',
  async () => {
    for (const part of ['koffi', '@koromix']) {
      const from = join(root, 'node_modules', part);
      cpSync(from, join(dir, 'node_modules', part), { recursive: true, dereference: true });
    }
    cpSync(join(root, 'test/hostile/syscalls.cjs'), join(dir, 'syscalls.cjs'));
    // Whoever sees a log for the first time is told of its key.
    await daemon.cli(['runs']);
    const ran = await exec('node', 'syscalls.cjs', String(daemon.pid));
    expect(ran.stderr).toBe('');
    const answers = JSON.parse(ran.stdout) as Record<string, string>;
    const got = Object.entries(answers).filter(
      ([, answer]) => !/^(?:SIGSYS|EPERM|ENOSYS|ESRCH)$/.test(answer),
    );
    expect(got).toEqual([]);
    expect(Object.keys(answers).length).toBeGreaterThan(60);
  },
);

test('nothing of the host is seen: no secret, no socket, no process, no file', async () => {
  expect(readFileSync(`/proc/${daemon.pid}/environ`, 'latin1')).toContain(secret);
  const marker = `${daemon.dir} ${daemon.socket} ${daemon.stateDir}`.split(' ');
  const script = `
    const fs = require('fs');
    const read = (path) => { try { return fs.readFileSync(path, 'latin1'); } catch (e) { return ''; } };
    const list = (path) => { try { return fs.readdirSync(path); } catch (e) { return []; } };
    const processes = list('/proc').filter((name) => /^\\d+$/.test(name));
    const texts = processes.flatMap((pid) => ['environ', 'cmdline', 'maps'].map((f) => read('/proc/' + pid + '/' + f)));
    const roots = processes.flatMap((pid) => list('/proc/' + pid + '/root')).concat(list('/'), list('/tmp'), list('/run'), list('/var/run'));
    const sockets = ['/var/run/docker.sock', '/run/docker.sock', '/run/podman/podman.sock', ...${JSON.stringify(marker)}].filter((p) => fs.existsSync(p));
    console.log(JSON.stringify({
      secret: texts.concat(JSON.stringify(process.env)).some((text) => text.includes(${JSON.stringify(secret.split('-'))}.join('-'))),
      sockets,
      processes: processes.length,
      wrote: ['/x', '/etc/x', '/workspace/../x', '/proc/1/root/x', '/proc/sys/kernel/core_pattern', ${onCrun ? '' : "'/sys/fs/cgroup/x', "}'/dev/x']
        .filter((p) => { try { fs.writeFileSync(p, 'x'); return true; } catch { return false; } }),
      names: [...new Set(roots)].sort(),
    }));`;
  const ran = await exec('node', '-e', script);
  const seen = JSON.parse(ran.stdout) as { processes: number; names: string[] };
  expect(seen).toMatchObject({ secret: false, sockets: [], wrote: [] });
  expect(seen.processes).toBeLessThan(5);
  expect(seen.names.filter((name) => name.startsWith('orc'))).toEqual([]);
});

test('no packet leaves: not to a name, not to the host, not to the engine, not to a socket without a path', async () => {
  let heard = 0;
  const count = (): void => void (heard += 1);
  const tcp = await listening(createServer(count), { port: 0, host: '0.0.0.0' });
  const port = (tcp.address() as { port: number }).port;
  const abstract = `\0orchestra-test-${process.pid}`;
  const local = await listening(createServer(count), { path: abstract });
  // A link-local address without its link is no address.
  const hosts = Object.values(networkInterfaces()).flatMap(
    (each) => each?.flatMap(({ address }) => (address.startsWith('fe80') ? [] : address)) ?? [],
  );
  const script = `
    const net = require('net'), dns = require('dns'), dgram = require('dgram'), os = require('os');
    const dial = (to) => new Promise((done) => {
      const socket = net.connect(to);
      socket.setTimeout(1500, () => { socket.destroy(); done('timeout'); });
      socket.on('connect', () => { socket.destroy(); done('connected'); });
      socket.on('error', (error) => done(error.code));
    });
    const say = (to) => new Promise((done) => {
      const socket = dgram.createSocket('udp4');
      socket.send('x', 53, to, (error) => { socket.close(); done(error ? error.code : 'sent'); });
    });
    (async () => {
      const answers = {};
      for (const host of ${JSON.stringify(hosts)}.concat('172.17.0.1', '169.254.169.254', '192.0.2.1')) {
        answers[host] = await dial({ host, port: ${port} });
        if (!host.includes(':') && !host.startsWith('127.')) answers['udp ' + host] = await say(host);
      }
      answers.abstract = await dial({ path: ${JSON.stringify(abstract)} });
      for (const name of ['example.org', 'host.docker.internal', 'gateway.docker.internal']) {
        answers[name] = await new Promise((done) => dns.lookup(name, (error) => done(error ? error.code : 'found')));
      }
      answers.interfaces = Object.keys(os.networkInterfaces()).join();
      console.log(JSON.stringify(answers));
    })();`;
  const ran = await exec('node', '-e', script);
  tcp.close();
  local.close();
  const { interfaces, ...answers } = JSON.parse(ran.stdout) as Record<string, string>;
  expect(interfaces).toBe('lo');
  expect(Object.keys(answers).length).toBeGreaterThan(7);
  for (const answer of Object.values(answers)) {
    expect(answer).toMatch(
      /^(?:ENETUNREACH|EHOSTUNREACH|ECONNREFUSED|EADDRNOTAVAIL|EAI_AGAIN|ENOTFOUND)$/,
    );
  }
  expect(heard).toBe(0);
});

async function listening(
  server: Server,
  where: { port?: number; host?: string; path?: string },
): Promise<Server> {
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return server;
}

test('a task that takes too much is ended, its limit is named, and its neighbours are well', async () => {
  const { tasks, code } = await attack({
    // It lives on for a moment: the kernel's count of refusals is read while a task runs.
    forks: {
      node: true,
      script: `
        const { spawn } = require('child_process');
        for (let i = 0; i < 60; i += 1) spawn('sleep', ['5']).on('error', () => {});
        setTimeout(() => process.exit(3), 1500);`,
      limits: { pids: 32 },
    },
    memory: {
      script: 'const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))',
      node: true,
      limits: { memory: '64MiB' },
    },
    shared: {
      script:
        'const fs = require("fs"); for (let i = 0; ; i += 1) fs.writeFileSync("/dev/shm/" + i, Buffer.alloc(1 << 20, 1))',
      node: true,
      limits: { memory: '96MiB' },
    },
    file: { script: 'exec dd if=/dev/zero of=big bs=1M count=8', limits: { file_size: '2MiB' } },
    flood: { script: 'exec yes', limits: { output: '64KiB' } },
    time: { script: 'trap "" TERM INT; while :; do sleep 1; done', limits: { timeout: '2s' } },
    tmp: {
      script: 'dd if=/dev/zero of=/tmp/big bs=1M count=8 || echo full',
      limits: { tmp: '2MiB' },
    },
    handles: {
      script:
        'const fs = require("fs"); try { for (;;) fs.openSync("/dev/null") } catch (e) { console.log(e.code) }',
      node: true,
      limits: { open_files: 64 },
    },
    neighbour: { script: 'sleep 1; echo well' },
  });
  const ended = Object.fromEntries(
    Object.values(tasks).map(({ id, state, limit }) => [id, limit ?? state]),
  );
  expect(ended).toEqual({
    forks: 'pids',
    memory: 'memory',
    shared: expect.stringMatching(/^(?:memory|failed)$/),
    file: 'file_size',
    flood: 'output',
    time: 'timeout',
    tmp: 'succeeded',
    handles: 'succeeded',
    neighbour: 'succeeded',
  });
  expect(tasks['flood']).toMatchObject({ outputBytes: 64 * 1024, outputTruncated: true });
  expect(tasks['file']?.reason).toContain('file_size');
  expect((await logs('tmp')).stdout).toContain('full');
  expect((await logs('handles')).stdout).toContain('EMFILE');
  expect(code).toBe(3);
});

const logs = async (task: string, ...flags: string[]): Promise<Ran> =>
  daemon.cli(['logs', runs.at(-1) ?? '', task, ...flags]);

test('a process that outlives its task dies with it and changes no output after the end', async () => {
  const marker = `orchestra-straggler-${process.pid}`;
  const { tasks } = await attack({
    strays: {
      node: true,
      script: `
        const { spawn } = require('child_process');
        const endless = "const fs = require('fs'); for (;;) fs.appendFileSync('out.txt', 'late')";
        for (let i = 0; i < 3; i += 1)
          spawn(process.execPath, ['-e', endless, '${marker}'], { detached: true, stdio: 'ignore' }).unref();
        require('fs').writeFileSync('out.txt', 'early');
        setTimeout(() => process.exit(0), 300);`,
      outputs: { out: 'out.txt' },
    },
  });
  expect(tasks['strays']?.state).toBe('succeeded');
  const alive = readdirSync('/proc').filter((pid) => {
    const file = `/proc/${pid}/cmdline`;
    return /^\d+$/.test(pid) && existsSync(file) && readFileSync(file, 'latin1').includes(marker);
  });
  expect(alive).toEqual([]);
  const [artifact] = tasks['strays']?.artifacts ?? [];
  expect(await download('strays/out')).toHaveLength(artifact?.bytes ?? -1);
});

/** What `artifacts get` writes, whose digest the CLI compares with the log's. */
async function download(name: string): Promise<Buffer> {
  const file = join(daemon.dir, `download-${made}`);
  const ran = await daemon.cli(['artifacts', 'get', runs.at(-1) ?? '', name, '--out', file]);
  expect([ran.code, ran.stderr]).toEqual([0, '']);
  return readFileSync(file);
}

test('an output that is a link, leads through one, or is no file is refused, and nothing behind it is read', async () => {
  const target = join(outside, 'secret.txt');
  mkdirSync(join(dir, 'given'));
  symlinkSync('../keep.txt', join(dir, 'given/mine.txt'));
  const { tasks, run } = await attack({
    absolute: { script: `ln -s ${target} out`, outputs: { o: 'out' } },
    shadow: { script: 'ln -s /etc/shadow out', outputs: { o: 'out' } },
    parent: { script: 'ln -s / out', outputs: { o: 'out/etc/passwd' } },
    upwards: {
      script: `ln -s ../../../../../../../../..${outside} out`,
      outputs: { o: 'out/secret.txt' },
    },
    proc: { script: 'ln -s /proc/self/environ out', outputs: { o: 'out' } },
    given: { script: 'true', outputs: { o: 'mine.txt' } },
    fifo: {
      script: "require('child_process').execSync('busybox mkfifo out || mkfifo out')",
      node: true,
      outputs: { o: 'out' },
    },
    socket: {
      script: "require('net').createServer().listen('out', () => process.reallyExit(0))",
      node: true,
      outputs: { o: 'out' },
    },
    hard: {
      script: 'ln /etc/passwd out || echo refused; ln own.txt copy',
      outputs: { o: 'copy' },
    },
    missing: { script: 'true', outputs: { o: 'never' } },
    swap: {
      node: true,
      script: `
        const fs = require('fs'), { spawn } = require('child_process');
        fs.mkdirSync('real'); fs.writeFileSync('real/secret.txt', 'own'); fs.symlinkSync(${JSON.stringify(outside)}, 'fake');
        const endless = "const fs = require('fs'); for (;;) { fs.renameSync('real', 'out'); fs.renameSync('out', 'real'); fs.renameSync('fake', 'out'); fs.renameSync('out', 'fake'); }";
        spawn(process.execPath, ['-e', endless], { detached: true, stdio: 'ignore' }).unref();
        setTimeout(() => process.reallyExit(0), 300);`,
      outputs: { o: 'out/secret.txt' },
    },
  });
  const refused = Object.values(tasks).filter(({ state }) => state === 'failed');
  expect(refused.map(({ id }) => id).toSorted()).toEqual(
    expect.arrayContaining(
      'absolute fifo given missing parent proc shadow socket upwards'.split(' '),
    ),
  );
  for (const { id, reason, exitCode, artifacts } of refused) {
    expect([id, exitCode, artifacts]).toEqual([id, 0, []]);
    expect(reason).toMatch(/is a link|neither a file nor a directory|not there/);
  }
  expect(tasks['hard']).toMatchObject({
    state: 'succeeded',
    artifacts: [{ kind: 'file', bytes: 3 }],
  });
  for (const artifact of run.tasks.flatMap((task) => task.artifacts)) {
    expect((await download(`${artifact.task}/${artifact.name}`)).includes(secret)).toBe(false);
  }
  expect(await blobsWith(secret)).toBe(0);
});

/** How many files of the state directory hold a text. */
async function blobsWith(text: string): Promise<number> {
  const found = execFileSync('sh', [
    '-c',
    'grep -rlF -- "$1" "$2" | wc -l',
    'sh',
    text,
    daemon.stateDir,
  ]);
  return Number(found.toString());
}

test('a directory comes as a tar that nothing can be led astray by', async () => {
  const { tasks } = await attack({
    slip: {
      node: true,
      script: `
        const fs = require('fs');
        const name = (text) => Buffer.concat([Buffer.from('out/'), Buffer.from(text, 'latin1')]);
        fs.mkdirSync('out/deep/deeper', { recursive: true });
        for (const text of ['..\\\\..\\\\evil', 'C:evil', '...', '-rf', 'new\\nline', '\\x1b[31mred', 'b\\xffd', ' ', '__proto__', 'a'.repeat(255)])
          fs.writeFileSync(name(text), 'x');
        fs.writeFileSync('out/deep/deeper/file', 'x', { mode: 0o6777 });
        fs.chmodSync('out/deep/deeper/file', 0o6777);
        fs.symlinkSync('/etc/passwd', 'out/link');
        fs.symlinkSync('..', 'out/deep/up');
        fs.linkSync('out/deep/deeper/file', 'out/hard');
        require('net').createServer().listen('out/socket', () => process.reallyExit(0));`,
      outputs: { out: 'out' },
    },
  });
  expect(tasks['slip']).toMatchObject({ state: 'succeeded', artifacts: [{ kind: 'directory' }] });
  const tar = await download('slip/out');
  const headers: { name: string; type: string; mode: number }[] = [];
  const unpack = Readable.from([tar]).pipe(extract());
  for await (const entry of unpack) {
    const { name, type, mode } = entry.header;
    headers.push({ name, type: type ?? '', mode: mode ?? 0 });
    entry.resume();
  }
  expect(headers.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['hard', 'deep/', '-rf', 'new\nline', '__proto__']),
  );
  for (const { name, type, mode } of headers) {
    expect(['file', 'directory']).toContain(type);
    expect(name.split('/')).not.toContain('..');
    expect(name.startsWith('/')).toBe(false);
    expect(mode & ~0o755).toBe(0);
  }
  const place = join(daemon.dir, `unpacked-${made}`, 'here');
  mkdirSync(place, { recursive: true });
  execFileSync('tar', ['-x', '-C', place], { input: tar });
  expect(readdirSync(join(place, '..'))).toEqual(['here']);
  const listed = await daemon.cli(['artifacts', 'ls', runs.at(-1) ?? '']);
  expect(listed.stdout).not.toContain('\u001b');
});

test('a directory of more files, bytes or levels than the policy allows is refused as a whole', async () => {
  const policy = readFileSync(join(root, 'policies/default.yaml'), 'utf8')
    .replace('name: default', 'name: small')
    .replace(/artifact_files: \d+/, 'artifact_files: 100')
    .replace(/artifact_bytes: \w+/, 'artifact_bytes: 1MiB');
  writeFileSync(join(dir, 'small.yaml'), policy);
  const many = (count: number): string =>
    `const fs = require('fs'); fs.mkdirSync('out'); for (let i = 0; i < ${count}; i += 1) fs.writeFileSync('out/' + i, '');`;
  // What the policy allows it allows the run: of all that, the first one takes a file and two bytes.
  const next = { outputs: { o: 'out' }, deps: ['fits'] };
  const { tasks } = await attack(
    {
      fits: { script: 'mkdir out; echo x > out/file', outputs: { o: 'out' } },
      files: { script: many(100), node: true, ...next },
      names: { script: many(20_000), node: true, ...next },
      bytes: { script: 'dd if=/dev/zero of=out bs=1M count=2', ...next },
      levels: {
        script: 'i=0; while [ $i -lt 80 ]; do mkdir out; cd out; i=$((i+1)); done',
        ...next,
      },
    },
    ['--policy', 'small.yaml'],
  );
  expect(Object.values(tasks).map(({ id, state, reason }) => [id, state, reason ?? ''])).toEqual([
    ['fits', 'succeeded', ''],
    ['files', 'failed', expect.stringMatching(/more than 99 files/)],
    ['names', 'failed', expect.stringMatching(/too many files|more than 99 files/)],
    ['bytes', 'failed', expect.stringMatching(/more than 1048574 bytes/)],
    ['levels', 'failed', expect.stringMatching(/nested deeper/)],
  ]);
  expect(
    (
      JSON.parse((await daemon.cli(['artifacts', 'ls', runs.at(-1) ?? '', '--json'])).stdout) as {
        items: Artifact[];
      }
    ).items.map(({ task }) => task),
  ).toEqual(['fits']);
});

test('what a task prints cannot steer the terminal of whoever looks at it', async () => {
  const evil = String.raw`\033]0;owned\007\033]52;c;ZXZpbA==\007\033[2J\033[1;1Hexit 0\033P+q544e\033\\\302\233 6n\342\200\256reversed\r`;
  const { tasks, stderr, stdout } = await attack({
    evil: { script: `printf '${evil}\\nhonest\\n'; exit 1` },
  });
  expect(tasks['evil']?.state).toBe('failed');
  const shown = await logs('evil');
  // oxlint-disable-next-line no-control-regex -- nothing but tabs and line ends may be left of these
  const steering = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/;
  for (const text of [shown.stdout, shown.stderr, stdout, stderr])
    expect(text).not.toMatch(steering);
  expect(shown.stdout).toContain('honest');
  expect((await logs('evil', '--raw')).stdout).toContain('\u001b]0;owned');
  const report = await daemon.cli(['report', runs.at(-1) ?? '']);
  expect(report.stdout).not.toMatch(steering);
});

test('apply writes beneath the workspace alone, whatever links the task or somebody else planted', async () => {
  mkdirSync(join(dir, '.git/hooks'), { recursive: true });
  mkdirSync(join(dir, 'src'));
  writeFileSync(join(dir, 'src/a.txt'), 'a');
  const { tasks } = await attack({
    plant: {
      script: `cd ..; mkdir -p .git/hooks && echo evil > .git/hooks/pre-commit; ln -s ${outside} leads; ln -s ../../.. up; mkdir made; echo new > made/file; echo new > src/new.txt; printf x > "new
line"`,
    },
  });
  expect(tasks['plant']?.state).toBe('succeeded');
  const id = runs.at(-1) ?? '';
  const diff = await daemon.cli(['diff', id]);
  expect([diff.code, diff.stdout.includes('\u001b')]).toEqual([0, false]);

  // Somebody puts a link where the run has a directory.
  symlinkSync(outside, join(dir, 'made'));
  const refused = await daemon.cli(['apply', id, '-w', dir], { cwd: dir });
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('made')]);
  expect(readdirSync(join(dir, 'src'))).toEqual(['a.txt']);

  execFileSync('rm', [join(dir, 'made')]);
  const applied = await daemon.cli(['apply', id, '-w', dir], { cwd: dir });
  expect(applied.code).toBe(0);
  expect(applied.stderr).toMatch(/leads/);
  expect(applied.stderr).toMatch(/\.git/);
  expect(readdirSync(join(dir, '.git/hooks'))).toEqual([]);
  expect(readdirSync(dir).toSorted()).toEqual([
    '.git',
    'keep.txt',
    'made',
    'new\nline',
    'plant',
    'src',
  ]);
  expect(readFileSync(join(dir, 'made/file'), 'utf8')).toBe('new\n');
});

test('after all of it the daemon is well and its log verifies', async () => {
  expect((await daemon.ask('GET', '/readyz')).status).toBe(200);
  expect((await daemon.cli(['audit', 'verify'])).code).toBe(0);
});
