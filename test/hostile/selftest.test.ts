import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SelftestReport } from '#cli/selftest/report.ts';
import { TestDaemon, type Ran } from '#test/support/daemon.ts';
import { LyingEngine, type Json } from '#test/support/lying-engine.ts';

const root = new URL('../..', import.meta.url).pathname;

function reportIn(dir: string): { folder: string; report: SelftestReport } {
  const [name = ''] = readdirSync(dir).filter((each) => each.startsWith('selftest-'));
  const folder = join(dir, name);
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as SelftestReport;
  return { folder, report };
}

async function selftest(daemon: TestDaemon, name: string, ...args: string[]) {
  const dir = join(daemon.dir, name);
  mkdirSync(dir);
  const ran: Ran = await daemon.cli(['selftest', '--hostile', ...args], { cwd: dir });
  if (readdirSync(dir).length === 0) throw new Error(`${ran.stderr}\n${daemon.output}`);
  return { ran, dir, ...reportIn(dir) };
}

const outcomes = ({ attacks }: SelftestReport, wanted: string): string[] =>
  attacks.filter(({ outcome }) => outcome === wanted).map(({ id }) => id);

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

test('with an engine that leaves limits out, and lies about it, walls are down and named', async () => {
  // What the kernel tells of a process the daemon compares itself; of these it has the engine's word.
  const asked = new Map<string, Json>();
  await using engine = await LyingEngine.open({
    create: (body, name) => {
      const { HostConfig } = body as { HostConfig: Json };
      asked.set(name, structuredClone(HostConfig));
      return { ...body, HostConfig: { ...HostConfig, PidsLimit: 0, Ulimits: [] } };
    },
    inspect: (body, name) => {
      const { HostConfig } = body as { HostConfig: Json };
      const wished = asked.get(name);
      if (wished === undefined) return body;
      const { PidsLimit, Ulimits } = wished;
      return { ...body, HostConfig: { ...HostConfig, PidsLimit, Ulimits } };
    },
  });
  await using weak = await TestDaemon.start(['--engine', `unix://${engine.socket}`]);
  const only = [
    'escape.user-namespace',
    'escape.capabilities',
    'escape.signal-host',
    'network.internet',
    'resources.fork-bomb',
    'resources.open-files',
  ].join(',');
  const { ran, report } = await selftest(weak, 'lied-to', '--only', only);
  expect(engine.lies).toBeGreaterThan(0);
  expect(ran.code).toBe(4);
  expect(report).toMatchObject({ verdict: 'down', exit_code: 4 });
  expect(outcomes(report, 'down')).toEqual(['resources.fork-bomb', 'resources.open-files']);
  // What was not weakened is not blamed.
  expect(outcomes(report, 'held')).toHaveLength(4);
  expect(ran.stdout).toContain('A WALL IS DOWN');
  expect(ran.stdout).toContain('resources.fork-bomb');
});

test('with a ceiling that allows more than the machine has, the wall is down and named', async () => {
  const policies = join(daemon.dir, 'wide');
  mkdirSync(policies);
  const wide = readFileSync(join(root, 'policies/default.yaml'), 'utf8')
    .replace('name: default', 'name: wide')
    .replace(/memory: \w+/, 'memory: 64TiB')
    .replace(/pids: \d+/, 'pids: 1000000');
  writeFileSync(join(policies, 'wide.yaml'), wide);
  const config = join(daemon.dir, 'wide.config.yaml');
  writeFileSync(config, `policies: ${policies}\nceiling: wide\npolicy: wide\n`);
  await using weak = await TestDaemon.start(['--config', config]);
  const { ran, report } = await selftest(
    weak,
    'wide',
    '--only',
    'daemon.plan-limits,daemon.plan-power',
  );
  expect(ran.code).toBe(4);
  expect(outcomes(report, 'down')).toEqual(['daemon.plan-limits']);
  expect(outcomes(report, 'held')).toEqual(['daemon.plan-power']);
  expect(report.attacks.find(({ id }) => id === 'daemon.plan-limits')?.happened).toContain(
    'memory',
  );
});

test('a runtime that the policy does not allow, or the engine does not have, is refused and nothing is judged', async () => {
  const refused = await daemon.cli(['selftest', '--hostile', '--runtime', 'nsjail']);
  expect([refused.code, refused.stderr]).toEqual([
    4,
    expect.stringContaining('does not allow nsjail'),
  ]);
  expect(readdirSync(daemon.dir).filter((name) => name.startsWith('selftest-'))).toEqual([]);
});

test('every wall of the installed product holds, in the runtime that was asked for, and the report says so', async () => {
  const { ran, report, folder, dir } = await selftest(daemon, 'all', '--runtime', 'runc');
  // With the words of what happened, so that a failure says what to look at.
  expect(report.attacks.filter(({ outcome }) => outcome !== 'held')).toEqual([]);
  expect(ran.code).toBe(0);
  expect(report.attacks.length).toBeGreaterThanOrEqual(60);
  expect(new Set(report.attacks.map(({ group }) => group)).size).toBe(6);
  expect(report.machine.runtimes).toEqual(['runc']);
  expect(ran.stdout).toContain('EVERY WALL HELD');

  const verified = await daemon.cli(['selftest', 'verify', folder], { cwd: dir });
  expect([verified.code, verified.stdout]).toEqual([0, expect.stringContaining('says the same')]);

  const file = join(folder, 'report.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"down": 0', '"down": 1'));
  const changed = await daemon.cli(['selftest', 'verify', folder], { cwd: dir });
  expect([changed.code, changed.stderr]).toEqual([
    4,
    expect.stringContaining('report.json is not'),
  ]);
  expect(readdirSync(dir)).toHaveLength(1);
});
