import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import type { AncestorLayer, PreparedLayer, SealedLayer, Stack } from '#daemon/workspace/layers.ts';
import type { Workspace } from '#daemon/workspace/open.ts';
import { isRoot, type Scratch } from './support.ts';

export const overlays = isRoot && canMount();
export const overlayTest = test.skipIf(!overlays);

function canMount(): boolean {
  const dir = fs.mkdtempSync('/tmp/orc-mnt-');
  try {
    for (const name of ['l', 'u', 'w', 'm']) fs.mkdirSync(join(dir, name));
    const options = `lowerdir=${dir}/l,upperdir=${dir}/u,workdir=${dir}/w,userxattr`;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, `${dir}/m`], {
      stdio: 'pipe',
    });
    execFileSync('umount', [`${dir}/m`]);
    return true;
  } catch {
    return false;
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** What a container would do: the overlay mounted, a script run in it as the sandbox user. */
export function inOverlay<T>(prepared: PreparedLayer, at: string, act: (dir: string) => T): T {
  fs.mkdirSync(at, { recursive: true });
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', prepared.options, at]);
  try {
    return act(at);
  } finally {
    execFileSync('umount', [at]);
  }
}

export function script(text: string): (dir: string) => string {
  const program = ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', 'sh', '-euc', text];
  return (cwd) => execFileSync(program[0] ?? '', program.slice(1), { cwd, encoding: 'utf8' });
}

/** A small workspace, and tasks that change it as a container would. */
export class Bench {
  readonly scratch: Scratch;
  readonly workspace: Workspace;
  readonly snapshot: string;
  readonly ancestors: AncestorLayer[] = [];

  private constructor(scratch: Scratch, workspace: Workspace, snapshot: string) {
    this.scratch = scratch;
    this.workspace = workspace;
    this.snapshot = snapshot;
  }

  static async open(scratch: Scratch): Promise<Bench> {
    const dir = join(scratch.root, 'project');
    fs.mkdirSync(join(dir, 'src/old'), { recursive: true });
    fs.writeFileSync(join(dir, 'a.txt'), 'a\n');
    fs.writeFileSync(join(dir, 'b.txt'), 'b\n');
    fs.writeFileSync(join(dir, 'src/old/one'), '1\n');
    fs.writeFileSync(join(dir, 'src/old/two'), '2\n');
    fs.symlinkSync('a.txt', join(dir, 'link'));
    const { digest } = await scratch.snapshot(dir);
    fs.chmodSync(scratch.root, 0o755);
    return new Bench(scratch, await scratch.workspace(), digest);
  }

  /** With `inputs` the task sees no other file of the snapshot. */
  async task(
    taskId: string,
    deps: string[],
    text: string,
    inputs?: readonly string[],
  ): Promise<SealedLayer> {
    const { layers } = this.workspace;
    const prepared = await layers.prepare(await this.stack(deps, inputs));
    inOverlay(prepared, this.scratch.path('m'), script(text));
    const sealed = await layers.seal(prepared);
    this.ancestors.push({ taskId, layer: sealed.digest, deps });
    return sealed;
  }

  async stack(deps: readonly string[], inputs?: readonly string[]): Promise<Stack> {
    const ancestors = this.closure(deps);
    if (inputs === undefined) return { snapshot: this.snapshot, ancestors };
    const { snapshots } = this.workspace;
    const snapshot = await snapshots.subset(this.snapshot, { inputs, cwd: '.' });
    return { snapshot, partial: true, ancestors };
  }

  /** What a later task that sees everything would find, as a script prints it. */
  async look(deps: readonly string[], text: string): Promise<string> {
    const prepared = await this.workspace.layers.prepare(await this.stack(deps));
    return inOverlay(prepared, this.scratch.path('m'), script(text));
  }

  closure(deps: readonly string[]): AncestorLayer[] {
    const wanted = new Set<string>();
    const visit = (id: string): void => {
      wanted.add(id);
      for (const dep of this.ancestors.find((a) => a.taskId === id)?.deps ?? []) visit(dep);
    };
    for (const dep of deps) visit(dep);
    return this.ancestors.filter((ancestor) => wanted.has(ancestor.taskId));
  }

  async changes(): Promise<string[]> {
    const layers = this.ancestors.map((ancestor) => ancestor.layer);
    const { items } = await this.workspace.layers.changes(this.snapshot, layers);
    return items.map((item) => `${item.change} ${item.path}`);
  }
}
