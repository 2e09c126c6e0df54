import { hash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Digest } from '#contract/ids.ts';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import { ActionCache } from '#daemon/runs/cache/actions.ts';
import { lookUp } from '#daemon/runs/cache/reuse.ts';
import { brokenPart } from '#daemon/runs/cache/verify.ts';
import type { Reused } from '#daemon/runs/kept.ts';
import type { Workspace } from '#daemon/workspace/open.ts';
import { layerSealed, note, someDigest, taskFinished } from '#test/support/records.ts';
import { Scratch } from '../../workspace/support.ts';

/** A task's leavings: a file, a directory as an artifact, its output, and its layer. */
class Left {
  readonly scratch: Scratch;
  readonly workspace: Workspace;
  readonly reused: Pick<Reused, 'layer' | 'output' | 'artifacts'>;
  readonly inside: Digest;

  private constructor(
    scratch: Scratch,
    workspace: Workspace,
    reused: Left['reused'],
    inside: Digest,
  ) {
    this.scratch = scratch;
    this.workspace = workspace;
    this.reused = reused;
    this.inside = inside;
  }

  static async in(scratch: Scratch): Promise<Left> {
    const dir = scratch.path('project');
    fs.mkdirSync(dir);
    const { digest: snapshot } = await scratch.snapshot(dir);
    const workspace = await scratch.workspace();
    const prepared = await workspace.layers.prepare({ snapshot, ancestors: [] });
    fs.mkdirSync(join(prepared.upper, 'dist'));
    fs.writeFileSync(join(prepared.upper, 'dist/a.js'), 'a');
    fs.writeFileSync(join(prepared.upper, 'report'), 'report');
    const { artifacts } = await workspace.collect({
      roots: [prepared.upper, ...prepared.lower],
      outputs: ['dist', 'report'].map((name) => ({ name, path: name, required: true })),
      limits: { filesMax: 10, bytesMax: 1000, depthMax: 5 },
    });
    const { digest: layer } = await workspace.layers.seal(prepared);
    const { digest: output } = await workspace.blobs.put(Buffer.from('said'), { maxBytes: 10 });
    const reused = {
      layer,
      output,
      artifacts: artifacts.map(({ name, path, kind, bytes, digest }) => {
        return { name, path, kind, bytes, sha256: digest.slice(7) };
      }),
    };
    return new Left(scratch, workspace, reused, `sha256:${hash('sha256', 'a', 'hex')}`);
  }

  broken(): Promise<string | undefined> {
    return brokenPart(this, this.reused);
  }

  pathOf(what: 'dist' | 'report' | 'output' | 'inside'): string {
    const found = this.reused.artifacts.find(({ name }) => name === what)?.sha256;
    const digest =
      what === 'output' ? this.reused.output : what === 'inside' ? this.inside : `sha256:${found}`;
    return blobPath(this.workspace.blobs.directory, digest ?? '');
  }
}

test.each<[string, (left: Left) => void, string]>([
  [
    'its layer',
    ({ scratch, reused }) => fs.rmSync(scratch.path(`state/layers/${reused.layer.slice(7)}`)),
    'its layer is gone',
  ],
  [
    'a file of its layer',
    ({ scratch, reused }) =>
      fs.writeFileSync(
        join(fs.realpathSync(scratch.path(`state/layers/${reused.layer.slice(7)}`)), 'u/dist/a.js'),
        'b',
      ),
    'its layer is damaged at "dist/a.js"',
  ],
  ['its output', (left) => fs.rmSync(left.pathOf('output')), 'its output is gone'],
  [
    'bytes of its output',
    (left) => fs.writeFileSync(left.pathOf('output'), 'sold'),
    'its output is damaged',
  ],
  ['its file', (left) => fs.rmSync(left.pathOf('report')), 'its artifact report is gone'],
  [
    'bytes of its file',
    (left) => fs.writeFileSync(left.pathOf('report'), 'REPORT'),
    'its artifact report is damaged',
  ],
  [
    'the end of its file',
    (left) => fs.truncateSync(left.pathOf('report'), 2),
    'its artifact report is damaged',
  ],
  [
    'the list of its directory',
    (left) => fs.rmSync(left.pathOf('dist')),
    'its artifact dist is gone',
  ],
  [
    'bytes of that list',
    (left) => fs.writeFileSync(left.pathOf('dist'), '{}'),
    'its artifact dist is damaged',
  ],
  [
    'a file of its directory',
    (left) => fs.rmSync(left.pathOf('inside')),
    'its artifact dist is gone in part',
  ],
  [
    'bytes of a file of its directory',
    (left) => fs.writeFileSync(left.pathOf('inside'), 'x'),
    'its artifact dist is damaged in part',
  ],
])('where %s is lost nothing counts, also after it had counted', async (_, harm, word) => {
  await using scratch = new Scratch();
  const left = await Left.in(scratch);
  expect(await left.broken()).toBeUndefined();
  harm(left);
  expect(await left.broken()).toBe(word);
});

test('what is damaged is put aside, so that the same content can be put again', async () => {
  await using scratch = new Scratch();
  const left = await Left.in(scratch);
  fs.writeFileSync(left.pathOf('output'), 'sold');
  await left.broken();
  await left.workspace.blobs.put(Buffer.from('said'), { maxBytes: 10 });
  fs.writeFileSync(left.pathOf('inside'), 'x');
  expect(await left.broken()).toBe('its artifact dist is damaged in part');
  expect(fs.existsSync(left.pathOf('inside'))).toBe(false);
});

test('a result that is broken is found no more, and why is said with whose it was', async () => {
  await using scratch = new Scratch();
  const left = await Left.in(scratch);
  const actions = new ActionCache();
  const action = someDigest('a');
  const build = { obj: { task: 'build' } };
  const sealed = layerSealed('build', '7');
  for (const record of [
    note('task.started', { attempt: 1, spec: someDigest('2'), action }, build),
    { ...sealed, data: { ...sealed.data, layer: left.reused.layer } },
    taskFinished('build', 'succeeded', { output: left.reused.output }),
  ]) {
    actions.fold(record as typeof sealed);
  }
  const deps = { actions, workspace: left.workspace };
  expect(await lookUp(deps, someDigest('b'))).toEqual({ hit: undefined });
  expect(await lookUp(deps, action)).toMatchObject({ hit: { layer: left.reused.layer } });
  fs.rmSync(left.pathOf('output'));
  expect(await lookUp(deps, action)).toEqual({
    hit: undefined,
    broken: 'r-0000000000/build: its output is gone',
  });
  expect(await lookUp(deps, action)).toEqual({ hit: undefined });
});
