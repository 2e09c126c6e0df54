import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Arborist from '@npmcli/arborist';
import { OrchestraError } from '#contract/errors.ts';
import { list, staysInside, type Lockfile } from './lockfile.ts';

/**
 * The tree that the lockfile describes, read by npm's own code in a folder that holds nothing but
 * the manifest and the lockfile: nothing is installed, nothing runs, nothing is asked. `place` is the
 * lockfile's folder in the workspace.
 */
export async function loadLockTree(
  lockfile: Lockfile,
  manifest: Readonly<Record<string, unknown>>,
  place: string,
): Promise<Arborist.Node> {
  const temporary = await mkdtemp(join(tmpdir(), 'orchestra-lockfile-'));
  try {
    // As deep as in the workspace, so that a link to a neighbour stays in the temporary folder.
    const folder = join(temporary, place);
    await mkdir(folder, { recursive: true });
    const workspaces = await writeWorkspaces(folder, lockfile);
    // The manifest's own patterns would be matched against the disk; the lockfile knows the result.
    const { workspaces: _patterns, ...rest } = manifest;
    const root = workspaces.length === 0 ? rest : { ...rest, workspaces };
    await writeFile(join(folder, 'package.json'), JSON.stringify(root));
    await writeFile(join(folder, 'package-lock.json'), JSON.stringify(lockfile));
    const tree = await new Arborist({ path: folder }).loadVirtual();
    refuseMismatch(tree);
    return tree;
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    throw new OrchestraError('lockfile.invalid', 'npm cannot read package-lock.json', {
      hint: 'rm package-lock.json && npm install --package-lock-only',
      // The original names folders of this machine: kept for the daemon's log only.
      cause,
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Gives npm the manifests of the workspaces as the lockfile remembers them. */
async function writeWorkspaces(folder: string, lockfile: Lockfile): Promise<string[]> {
  const declared = lockfile.packages['']?.['workspaces'];
  if (declared === undefined) return [];
  const places: string[] = [];
  const asked = JSON.stringify(lockfile.packages['']);
  for (const [at, link] of Object.entries(lockfile.packages)) {
    const target = link.link === true ? link.resolved : undefined;
    const entry = target === undefined ? undefined : lockfile.packages[target];
    if (target === undefined || target === '' || entry === undefined) continue;
    if (!staysInside(target)) continue;
    if (/(^|\/)node_modules(\/|$)/.test(target)) continue;
    // A folder that the manifest asks for by `file:` is a plain dependency, not a workspace.
    if (asked.includes(JSON.stringify(`file:${target}`))) continue;
    const name = entry.name ?? at.replace(/^.*node_modules\//, '');
    await mkdir(join(folder, target), { recursive: true });
    await writeFile(join(folder, target, 'package.json'), JSON.stringify({ ...entry, name }));
    // Square brackets and the like in a folder's name are no pattern here.
    places.push(target.replaceAll(/[\\*?[\]{}()!+@]/g, '\\$&'));
  }
  return places;
}

/** What `npm ci` refuses too: the manifests ask for something that the lockfile does not pin. */
function refuseMismatch(tree: Arborist.Node): void {
  const wrong: string[] = [];
  for (const node of [tree, ...tree.fsChildren]) {
    for (const edge of node.edgesOut.values()) {
      if (edge.type === 'peer' || edge.type === 'peerOptional') continue;
      const missing = edge.error === 'MISSING' && edge.type !== 'optional';
      if (missing || edge.error === 'INVALID') wrong.push(`${edge.name}@${edge.spec}`);
    }
  }
  if (wrong.length === 0) return;
  throw new OrchestraError(
    'lockfile.invalid',
    `package-lock.json does not match package.json: ${list(wrong)}`,
    { hint: 'npm install --package-lock-only' },
  );
}
