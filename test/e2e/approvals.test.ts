import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { LogRecord } from '#contract/records.ts';
import type { RequestRow } from '#contract/requests.ts';
import type { RunView } from '#contract/run.ts';
import type { Failpoint } from '#daemon/base/failpoints.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const root = new URL('../..', import.meta.url).pathname;

/** A project whose policy asks for its task `deploy`. */
function project(daemon: TestDaemon): string {
  const dir = join(daemon.dir, 'work');
  mkdirSync(dir, { recursive: true });
  const policy = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  const rules = `
rules:
  - { id: rest, when: "task.id != 'deploy'", effect: allow, reason: not a deploy }
  - { id: deploys, when: "task.id == 'deploy'", effect: ask, reason: deploys are looked at }
`;
  writeFileSync(join(dir, 'policy.yaml'), policy.replace('name: default', 'name: mine') + rules);
  writeFileSync(
    join(dir, 'plan.yaml'),
    `version: 1
tasks:
  - { id: deploy, tool: node, args: ['-e', 'console.log(1)'], side_effects: true }
  - { id: after, tool: node, args: ['-e', ''], deps: [deploy] }
`,
  );
  return dir;
}

const runArgs = ['run', '--plan', 'plan.yaml', '--policy', './policy.yaml', '--no-cache'];

async function open(daemon: TestDaemon): Promise<RequestRow | undefined> {
  const { stdout } = await daemon.cli(['approvals', '--json']);
  return (JSON.parse(stdout) as { items: RequestRow[] }).items[0];
}

async function untilOpen(daemon: TestDaemon): Promise<RequestRow> {
  for (let i = 0; i < 600; i += 1) {
    const row = await open(daemon).catch(() => undefined);
    if (row !== undefined) return row;
    await sleep(50);
  }
  throw new Error('nobody is asked');
}

async function recordsOf(daemon: TestDaemon, run: string): Promise<LogRecord[]> {
  const { stdout } = await daemon.cli(['audit', 'list', '--run', run, '-n', '500', '--json']);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .flatMap((line) => {
      const value = JSON.parse(line) as { items?: { record: LogRecord }[]; record?: LogRecord };
      return value.items?.map(({ record }) => record) ?? (value.record ? [value.record] : []);
    });
}

/** On which side of a death the answer is on record. */
const deaths: Partial<Record<Failpoint, 'asking' | 'answering'>> = {
  'before-request-opened': 'asking',
  'after-request-opened': 'asking',
  'before-request-answered': 'answering',
  'after-request-answered': 'answering',
};

describe('a run whose daemon is killed', () => {
  test.each(Object.entries(deaths))(
    '%s asks once, and runs what was approved once',
    { timeout: 120_000 },
    async (name, when) => {
      await using daemon = await TestDaemon.start([], undefined, { ORCHESTRA_FAILPOINTS: name });
      const cwd = project(daemon);
      const submitted = daemon.cli([...runArgs, '--detach'], { cwd });
      if (when === 'answering') {
        const { id, shown } = await untilOpen(daemon);
        await daemon.cli(['approve', id, '--digest', shown]);
      }
      expect(await daemon.ended()).toBe('SIGKILL');
      const run = (await submitted).stdout.trim();
      await daemon.restart();
      const left = name === 'after-request-answered' ? undefined : await untilOpen(daemon);
      if (left !== undefined) {
        const { code } = await daemon.cli(['approve', left.id, '--digest', left.shown]);
        expect(code).toBe(0);
      }
      expect((await daemon.cli(['wait', run])).code).toBe(0);
      const types = (await recordsOf(daemon, run)).map(
        ({ type, obj }) => `${type} ${obj?.['task']}`,
      );
      const times = (type: string) => types.filter((one) => one === `${type} deploy`).length;
      expect([times('request.opened'), times('task.started')]).toEqual([1, 1]);
    },
  );
});

/** The CLI on a terminal of its own. `types` waits until the screen shows a text, then types. */
async function onTerminal(
  daemon: TestDaemon,
  { cwd, types, early = '' }: { cwd: string; types: [string, string][]; early?: string },
): Promise<{ code: number | null; screen: string }> {
  const command = `'${process.execPath}' '${root}cli/main.ts' ${runArgs.join(' ')}`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    cwd,
    env: {
      PATH: process.env['PATH'],
      HOME: daemon.dir,
      TERM: 'xterm',
      ORCHESTRA_HOST: `unix://${daemon.socket}`,
      XDG_STATE_HOME: join(daemon.dir, 'cli-state'),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let [screen, from] = ['', 0];
  child.stdin.write(early);
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    screen += part;
    const [next] = types;
    if (next === undefined || !screen.slice(from).includes(next[0])) return;
    types.shift();
    from = screen.length;
    child.stdin.write(next[1]);
  });
  await once(child, 'exit');
  child.stdin.destroy();
  return { code: child.exitCode, screen };
}

describe('on a terminal', { timeout: 120_000 }, () => {
  test('what was typed before the question is no answer to it; a no ends the run with 6', async () => {
    await using daemon = await TestDaemon.start();
    const { code, screen } = await onTerminal(daemon, {
      cwd: project(daemon),
      early: 'a\na\na',
      types: [
        ['approve once', 'd\n'],
        ['why not?', 'not on a Friday\n'],
      ],
    });
    expect(screen).toContain('not on a Friday');
    expect(code).toBe(6);
    const { stdout } = await daemon.cli(['show', '@last', '--json']);
    expect((JSON.parse(stdout) as RunView).tasks.map(({ state }) => state)).toEqual([
      'failed',
      'skipped',
    ]);
  });

  test('run asks in place, shows what it is about, and goes on with a yes', async () => {
    await using daemon = await TestDaemon.start();
    const { code, screen } = await onTerminal(daemon, {
      cwd: project(daemon),
      types: [
        ['approve once', 'v\n'],
        ['approve once', 'a\n'],
      ],
    });
    expect(code).toBe(0);
    for (const text of ['mine/deploys', 'node -e', 'digest', 'nothing like it was approved']) {
      expect(screen).toContain(text);
    }
  });
});

test('without a terminal a run that waits for people is left with exit code 6', async () => {
  await using daemon = await TestDaemon.start();
  const { code, stderr } = await daemon.cli(runArgs, { cwd: project(daemon) });
  expect(code).toBe(6);
  expect(stderr).toMatch(/orchestra approve r-\w+ deploy/);
  const { id, shown, run } = await untilOpen(daemon);
  expect((await daemon.cli(['deny', id, '--reason', 'no', '--digest', shown])).code).toBe(0);
  expect((await daemon.cli(['wait', run])).code).toBe(6);
});
