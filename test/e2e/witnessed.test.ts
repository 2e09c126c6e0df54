import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AnchoringView } from '#contract/anchoring.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { parseSignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { parseVkey, signedBy } from '#verifier/tlog/note.ts';

const program = new URL('../../witness/main.ts', import.meta.url).pathname;

let daemon: TestDaemon;
let witness: WitnessProcess;

/** The witness as its own process, with a state of its own. */
class WitnessProcess {
  vkey = '';
  address = '127.0.0.1:0';
  readonly #state: string;
  readonly #log: string;
  #child: ChildProcess | undefined;

  constructor(state: string, log: string) {
    this.#state = state;
    this.#log = log;
  }

  async start(): Promise<void> {
    const flags = ['--listen', this.address, '--state', this.#state, '--log', this.#log];
    const child = spawn(process.execPath, [program, ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith('vkey ')) this.vkey = line.slice('vkey '.length);
      if (!line.startsWith('listening on ')) continue;
      this.address = line.slice('listening on '.length);
      return;
    }
    throw new Error('the witness did not start');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

const view = async (...args: string[]) => {
  const { stdout, code } = await daemon.cli([...args, '--json']);
  return { code, said: JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as AnchoringView };
};
const work = () => join(daemon.dir, 'work');
const runSomething = () => daemon.cli(['run', '--plan', 'plan.json'], { cwd: work() });
const config = () => join(daemon.dir, 'witnessed.yaml');

beforeAll(async () => {
  daemon = await TestDaemon.start();
  await mkdir(work());
  const tasks = [{ id: 'build', tool: 'node', args: ['-e', '1'] }];
  await writeFile(join(work(), 'plan.json'), JSON.stringify({ version: 1, tasks }));
  const { said } = await view('audit', 'witnesses');
  witness = new WitnessProcess(join(daemon.dir, 'witness'), said.witnessKey ?? '');
  await witness.start();
  const held = join(daemon.dir, 'held.log');
  const settings = {
    audit: {
      anchors: [{ name: 'copy', command: ['/bin/sh', '-c', `cat >> ${held}`], every: '10ms' }],
      witnesses: {
        quorum: 1,
        members: [
          { name: 'w1', url: `http://${witness.address}`, vkey: witness.vkey, every: '10ms' },
        ],
      },
      max_unanchored: { records: 10_000, action: 'block' },
    },
  };
  await writeFile(config(), JSON.stringify(settings));
  await daemon.stop();
  await daemon.restart(['--config', config()]);
}, 180_000);

afterAll(async () => {
  await witness?.kill();
  await daemon?.[Symbol.asyncDispose]();
});

test('a run is cosigned by a witness that is another process, and its receipt is in its folder', async () => {
  const ran = await runSomething();
  expect(ran).toMatchObject({ code: 0 });
  const { code, said } = await view('audit', 'anchor');
  expect(code).toBe(0);
  const states = said.targets.map(({ name, failures }) => `${name} ${failures}`);
  expect(states).toEqual(['copy 0', 'w1 0']);
  expect(said.quorum).toEqual({ need: 1, of: 1, size: said.anchored });
  const blocks = (await readFile(join(daemon.stateDir, 'audit/checkpoints.log'), 'utf8')).split(
    '\n\n',
  );
  const notes = blocks.flatMap(
    (text, at) => parseSignedCheckpoint(`${text}\n\n${blocks[at + 1]}\n`) ?? [],
  );
  const cosigned = notes.findLast(({ size }) => size === said.anchored);
  const key = parseVkey(witness.vkey);
  expect(cosigned && key && signedBy(cosigned.note, key)).toMatchObject({ signed: true });
  expect(await readFile(join(daemon.dir, 'held.log'), 'utf8')).toContain(`\n${said.anchored}\n`);
  const [run = ''] = await readdir(join(work(), 'runs'));
  const receipt = await readFile(join(work(), 'runs', run, 'receipt.tlog-proof'), 'utf8');
  expect(receipt).toContain('c2sp.org/tlog-proof@v1\n');
}, 120_000);

test('a witness that was killed and comes back is given the way from where it was', async () => {
  await witness.kill();
  expect(await runSomething()).toMatchObject({ code: 0 });
  const away = await view('audit', 'anchor');
  expect(away.said.targets[1]).toMatchObject({ name: 'w1', failure: { reason: 'unreachable' } });
  await witness.start();
  const back = await view('audit', 'anchor');
  expect(back.said.targets[1]).toMatchObject({ name: 'w1', failures: 0 });
  expect(back.said.quorum?.size).toBeGreaterThan(away.said.quorum?.size ?? 0);
}, 120_000);

test('a key that changes is no trouble to the witness, nor to the user who knew the one before', async () => {
  const before = await daemon.cli(['runs']);
  expect(before).toMatchObject({ code: 0 });
  expect(await daemon.cli(['audit', 'keys', 'rotate'])).toMatchObject({ code: 0 });
  const ran = await runSomething();
  expect(ran).toMatchObject({ code: 0 });
  expect(ran.stderr).not.toContain('first sight');
  const { code, said } = await view('audit', 'anchor');
  expect(code).toBe(0);
  expect(said.targets[1]).toMatchObject({ name: 'w1', failures: 0 });
}, 120_000);

test('a past that root puts back, with all keys of this machine, is seen by user and witness', async () => {
  const copy = join(daemon.dir, 'copy');
  await daemon.stop();
  await cp(daemon.stateDir, copy, { recursive: true, preserveTimestamps: true });
  await daemon.restart(['--config', config()]);
  expect(await runSomething()).toMatchObject({ code: 0 });
  await view('audit', 'anchor');
  await daemon.stop();
  await rm(join(daemon.stateDir, 'audit'), { recursive: true });
  await rm(join(daemon.stateDir, 'signer'), { recursive: true });
  for (const name of ['audit', 'signer']) {
    await cp(join(copy, name), join(daemon.stateDir, name), { recursive: true });
  }
  await daemon.restart(['--config', config()]);
  const refused = await daemon.cli(['runs']);
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain('BROKEN');
  expect(refused.stderr).toContain('--accept-new-log');
  await daemon.ask('POST', '/v1/audit/anchor', JSON.stringify({ waitMs: 10_000 }));
  const records = await daemon.ask('GET', '/v1/audit/records?type=witness.refused&last=1');
  expect(records.text).toMatch(/"reason":"(ahead|inconsistent)"/);
  expect(records.text).toContain('"sev":"alert"');
}, 180_000);
