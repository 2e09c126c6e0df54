import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { RunId } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';
import type { RequestFacts } from '#daemon/runs/requests/state.ts';
import { person } from '#test/support/asked.ts';
import type { Script } from '#test/support/fake-engine.ts';
import {
  imageId,
  ofType,
  Orchestra,
  user,
  type OrchestraOptions,
} from '#test/support/orchestra.ts';

const root = new URL('../../../..', import.meta.url).pathname;
const hex = (digit: string) => digit.repeat(64);
const printed = (digit: string): Script => ({
  output: [
    [
      1,
      [
        'p /usr/local/bin/node /usr/local/bin/node',
        'p /bin/sh /bin/busybox',
        `h ${hex(digit)}  /usr/local/bin/node`,
        `h ${hex('f')}  /bin/busybox`,
        'm\n',
      ].join('\n'),
    ],
  ],
});
const build = { id: 'build', tool: 'node', args: ['build.js'] };
const check = { id: 'check', tool: 'node', args: ['check.js'] };
const own = { id: 'own', tool: 'exec', args: ['./own.sh'] };
const ada = person(2001);
const under = { policy: { name: 'growing' }, concurrency: 4 };

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'orchestra-growing-'));
  dirs.push(dir);
  return dir;
}

async function growing(options: OrchestraOptions = {}): Promise<Orchestra> {
  const policiesDir = folder();
  cpSync(join(root, 'policies'), policiesDir, { recursive: true });
  const text = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  const growth = text.replace('name: default', 'name: growing');
  writeFileSync(join(policiesDir, 'growing.yaml'), `${growth}\ntools_growth: ask\n`);
  return Orchestra.open({ policiesDir, programs: new Map([['tools', printed('a')]]), ...options });
}

/** The open request about a task, once there is one. */
async function asked(it: Orchestra, run: RunId, task: string): Promise<RequestFacts> {
  for (let i = 0; i < 2000; i += 1) {
    const { states } = it.rooms.deps.requests;
    const found = states.ofRun(run).find((one) => one.state === 'open' && one.task === task);
    if (found !== undefined) return found;
    await sleep(5);
  }
  throw new Error(`${run} does not ask for ${task}`);
}

async function approve(it: Orchestra, { id, shown }: RequestFacts): Promise<void> {
  await it.rooms.deps.requests.answer(id, { digest: shown, answer: 'approve' }, ada);
}

const openedIn = (records: readonly AnyRecord[]) => ofType(records, 'request.opened');

describe('a run asks again', () => {
  test('where the image is another one than when its program was approved', async () => {
    await using it = await growing();
    const run = await it.submit([build], under);
    await approve(it, await asked(it, run, 'build'));
    await it.ended(run);
    // Another image under the same name, with the very same file in it.
    const image = it.fake.images.get('node:20-alpine');
    if (image === undefined) throw new Error('no image');
    it.fake.images.set('node:20-alpine', { ...image, id: `sha256:${hex('2')}` });
    await it.rooms.deps.images.pin(it.log, 'node:20-alpine', user);
    const again = await it.submit([build], under);
    const request = await asked(it, again, 'build');
    expect(request.grows).toMatchObject({ name: 'node', image: `sha256:${hex('2')}` });
    await it.rooms.runs.cancel(again, 'test over', user);
    await it.ended(again);
  });

  test('where its program was withdrawn', async () => {
    await using it = await growing();
    const run = await it.submit([build], under);
    await approve(it, await asked(it, run, 'build'));
    await it.ended(run);
    await it.rooms.deps.tools.withdraw({ uid: 1000, name: 'node' }, user);
    const again = await it.submit([build], under);
    await asked(it, again, 'build');
    await it.rooms.runs.cancel(again, 'test over', user);
    await it.ended(again);
  });

  test('each time for a program of its workspace, which goes on no list', async () => {
    await using it = await growing();
    for (const _ of [1, 2]) {
      const run = await it.submit([own], under);
      const request = await asked(it, run, 'own');
      expect(request.grows).toBeUndefined();
      await approve(it, request);
      await it.ended(run);
      expect(it.rooms.runs.find(run).state).toBe('succeeded');
    }
    expect(it.rooms.deps.tools.allowed.users()).toEqual([]);
  });

  test('for everything, where the image cannot be measured, and nothing grows', async () => {
    await using it = await growing({ programs: new Map([['tools', { exitCode: 127 }]]) });
    const run = await it.submit([build], under);
    const request = await asked(it, run, 'build');
    expect(request.grows).toBeUndefined();
    await approve(it, request);
    await it.ended(run);
    expect(it.rooms.runs.find(run).state).toBe('succeeded');
    expect(it.rooms.deps.tools.allowed.users()).toEqual([]);
  });
});

test('one approval lets all tasks of that program go, and the next run asks nobody', async () => {
  await using it = await growing();
  const run = await it.submit([build, check], under);
  const request = await asked(it, run, 'build');
  await asked(it, run, 'check');
  await approve(it, request);
  await it.ended(run);
  expect(it.rooms.runs.find(run).state).toBe('succeeded');
  const again = await it.run([build, check], under);
  expect(it.rooms.runs.find(again).state).toBe('succeeded');
  expect(openedIn(await it.records(again))).toEqual([]);
  expect(it.rooms.deps.tools.allowed.of(1000)).toMatchObject([
    { name: 'node', binary: `sha256:${hex('a')}`, image: imageId, request: request.id, by: [2001] },
  ]);
});

test('without tools_growth no image is measured and nobody is asked', async () => {
  await using it = await growing();
  const run = await it.run([build], { concurrency: 4 });
  expect(it.rooms.runs.find(run).state).toBe('succeeded');
  expect(ofType(await it.records(), 'tools.advertised')).toEqual([]);
});

test('a list outlives the daemon: the next one asks nobody', async () => {
  const stateDir = folder();
  const first = await growing({ stateDir });
  const run = await first.submit([build], under);
  await approve(first, await asked(first, run, 'build'));
  await first.ended(run);
  await first.stop();
  await using second = await growing({ stateDir });
  const again = await second.run([build], under);
  expect(second.rooms.runs.find(again).state).toBe('succeeded');
  expect(openedIn(await second.records(again))).toEqual([]);
});
