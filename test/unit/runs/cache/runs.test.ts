import {
  appendFileSync,
  existsSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import { workspaceTarget, type OverlayMount, type SandboxSpec } from '#daemon/policy/spec.ts';
import { changesOf } from '#daemon/runs/changes.ts';
import { ofType, Orchestra, type PlanFileTask, user } from '#test/support/orchestra.ts';
import type { Script } from '#test/support/fake-engine.ts';

const cached = { cache: true };
const files = { 'src/a.ts': 'a', 'docs/x.md': 'x', 'package.json': '{}' };
const outputs = [{ name: 'out', path: 'out' }];
const build: PlanFileTask = { id: 'build', tool: 'node', args: ['b'], inputs: ['src/'], outputs };
const check: PlanFileTask = {
  id: 'check',
  tool: 'node',
  args: ['c'],
  deps: ['build'],
  inputs: ['src/'],
};
const whole: PlanFileTask = { id: 'whole', tool: 'node', args: ['w'] };

function workspace(spec: SandboxSpec): OverlayMount {
  const found = spec.mounts.find(
    (mount): mount is OverlayMount => mount.kind === 'overlay' && mount.target === workspaceTarget,
  );
  if (found === undefined) throw new Error('no workspace');
  return found;
}

/** Writes what it sees of the source to `out`. */
const compiler: Script = {
  effect: (spec) => {
    const { lower, upper } = workspace(spec);
    const source = lower.map((dir) => join(dir, 'src/a.ts')).find((path) => existsSync(path));
    writeFileSync(
      join(upper, 'out'),
      `of ${source === undefined ? '' : readFileSync(source, 'utf8')}`,
    );
  },
  output: [[1, 'built\n']],
};

const open = () => Orchestra.open({ programs: new Map([['build', compiler]]) });
const ran = async (it: Orchestra, run: string) =>
  ofType(await it.records(run), 'task.started')
    .map(({ obj }) => obj?.['task'] ?? '')
    .sort((a, b) => (a < b ? -1 : 1));
const layerDir = (it: Orchestra, run: string, task: string) => {
  const layer = it.rooms.deps.states.find(run)?.tasks.get(task)?.layer ?? '';
  return realpathSync(join(it.stateDir, 'layers', layer.slice(7)));
};

test('an unchanged plan runs no container the second time, and leaves the same', async () => {
  await using it = await open();
  const tasks = [build, check, whole];
  const first = await it.run(tasks, { ...cached, files });
  it.fake.calls.splice(0);
  const second = await it.run(tasks, { ...cached, files });
  expect(await ran(it, first)).toEqual(['build', 'check', 'whole']);
  expect(await ran(it, second)).toEqual([]);
  expect(it.fake.calls.filter((call) => call === 'release' || call === 'start')).toEqual([]);
  const [one, two] = await Promise.all([first, second].map((run) => it.rooms.runs.view(run)));
  expect(two?.state).toBe('succeeded');
  expect(two?.tasks.map(({ state, from }) => [state, from?.run])).toEqual(
    tasks.map(() => ['cached', first]),
  );
  expect(two?.tasks[0]).toMatchObject({
    output: one?.tasks[0]?.output,
    layer: one?.tasks[0]?.layer,
    artifacts: one?.tasks[0]?.artifacts,
  });
  const changes = await changesOf(it.rooms.deps, it.rooms.runs, second);
  expect(changes).toEqual(await changesOf(it.rooms.deps, it.rooms.runs, first));
});

test('a changed file runs what sees it and what builds on what came of it, nothing else', async () => {
  await using it = await open();
  const tasks = [build, check, whole];
  await it.run(tasks, { ...cached, files });
  const docs = await it.run(tasks, { ...cached, files: { ...files, 'docs/x.md': 'y' } });
  expect(await ran(it, docs)).toEqual(['whole']);
  const source = await it.run(tasks, { ...cached, files: { ...files, 'src/a.ts': 'b' } });
  expect(await ran(it, source)).toEqual(['build', 'check', 'whole']);
});

test('what was done again and came to the same does not run what builds on it', async () => {
  await using it = await open();
  const see = { ...check, inputs: ['package.json'] };
  await it.run([build, see], { ...cached, files });
  const changed = { ...build, args: ['b', '--more'] };
  expect(await ran(it, await it.run([changed, see], { ...cached, files }))).toEqual(['build']);
});

test('who asks for no cache runs everything, and what that left counts later', async () => {
  await using it = await open();
  await it.run([build], { ...cached, files });
  const anew = await it.run([build], { cache: false, files });
  expect(await ran(it, anew)).toEqual(['build']);
  const later = await it.run([build], { ...cached, files });
  expect(it.rooms.deps.states.find(later)?.tasks.get('build')?.from?.run).toBe(anew);
});

test('what failed, and what has side effects, runs every time', async () => {
  await using it = await open();
  it.programs.set('whole', { exitCode: 1 });
  const deploy = { id: 'deploy', tool: 'node', args: ['d'], side_effects: true };
  for (let round = 0; round < 2; round += 1) {
    const run = await it.run([deploy, whole], { ...cached, files });
    expect(await ran(it, run)).toEqual(['deploy', 'whole']);
  }
});

test('of equal tasks of two runs one runs, and the other has its result', async () => {
  await using it = await open();
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  it.programs.set('whole', {
    effect: () => {
      begun.resolve();
      return gate.promise;
    },
  });
  const first = await it.submit([whole], { ...cached, files });
  await begun.promise;
  const second = await it.submit([{ ...whole, id: 'other' }], { ...cached, files });
  await expect.poll(() => it.rooms.deps.flights.waiting).toBe(1);
  gate.resolve();
  await Promise.all([first, second].map((run) => it.ended(run)));
  expect(await ran(it, second)).toEqual([]);
  expect(it.rooms.deps.states.find(second)?.tasks.get('other')?.from).toEqual({
    run: first,
    task: 'whole',
    why: 'cache',
  });
});

test.each<[string, (it: Orchestra, run: string) => void]>([
  [
    'a file of its layer is damaged',
    (it, run) => appendFileSync(join(layerDir(it, run, 'build'), 'u/out'), 'x'),
  ],
  ['its layer is gone', (it, run) => rmSync(layerDir(it, run, 'build'), { recursive: true })],
  [
    'the manifest of its layer is damaged',
    (it, run) => writeFileSync(join(layerDir(it, run, 'build'), 'layer.json'), '{'),
  ],
  [
    'its artifact is gone',
    (it, run) => {
      const sha256 = it.rooms.deps.states.find(run)?.tasks.get('build')?.artifacts[0]?.sha256 ?? '';
      rmSync(blobPath(it.rooms.deps.blobs.directory, `sha256:${sha256}`));
    },
  ],
  [
    'its output is damaged',
    (it, run) => {
      const output = it.rooms.deps.states.find(run)?.tasks.get('build')?.output ?? '';
      appendFileSync(blobPath(it.rooms.deps.blobs.directory, output), 'x');
    },
  ],
])('where %s the task runs again, and what builds on it does not', async (_, harm) => {
  await using it = await open();
  const first = await it.run([build, check], { ...cached, files });
  harm(it, first);
  const second = await it.run([build, check], { ...cached, files });
  expect(await ran(it, second)).toEqual(['build']);
  expect((await it.rooms.runs.view(second)).state).toBe('succeeded');
  // Whole again, for the next.
  expect(await ran(it, await it.run([build, check], { ...cached, files }))).toEqual([]);
  expect(readFileSync(join(layerDir(it, second, 'build'), 'u/out'), 'utf8')).toBe('of a');
});

test('the next daemon knows from the log what was done', async () => {
  await using first = await open();
  await first.run([build, check], { ...cached, files });
  await first.stop();
  await using second = await Orchestra.open({ stateDir: first.stateDir });
  expect(await ran(second, await second.run([build, check], { ...cached, files }))).toEqual([]);
});

test('a resumed run does not count what was damaged since', async () => {
  await using it = await open();
  it.programs.set('whole', { exitCode: 1 });
  const after = { ...whole, deps: ['build'] };
  const first = await it.run([build, after], { ...cached, files });
  appendFileSync(join(layerDir(it, first, 'build'), 'u/out'), 'x');
  it.programs.delete('whole');
  const again = { mode: 'resume', again: false, dryRun: false } as const;
  const { id = '' } = await it.rooms.runs.goOn(first, again, user);
  await it.ended(id);
  expect(await ran(it, id)).toEqual(['build', 'whole']);
  expect(readFileSync(join(layerDir(it, id, 'build'), 'u/out'), 'utf8')).toBe('of a');
});
