import type { Setting } from '#contract/explain.ts';
import type { RecordData } from '#contract/records.ts';
import { formatSize } from '#contract/units.ts';
import { homeTarget, npmCacheTarget, secretsTarget, workspaceTarget } from '../policy/spec.ts';
import { byFloor, byRule, type SettingFacts } from './explain-words.ts';

type ReceiptMount = RecordData<'sandbox.receipt'>['mounts'][number];

/** One row a mount. Inspection found exactly these, or the sandbox would not have started. */
export function explainMounts({ receipt }: SettingFacts): Setting[] {
  return receipt.mounts.map((mount) => ({
    name: `mount ${mount.target}`,
    requested: mount.kind,
    effective: shown(mount),
    decidedBy: [byRule('mounts'), byFloor('mounts'), ...reasonFor(mount)],
    change: changeOf(mount),
  }));
}

function shown(mount: ReceiptMount): string {
  const parts = [mount.readonly ? 'read-only' : 'writable'];
  if (!mount.executable) parts.push('nothing can be executed');
  if (mount.bytes !== undefined) parts.push(`${formatSize(mount.bytes)} in memory`);
  const [snapshot] = mount.layers;
  if (snapshot !== undefined) {
    const above = mount.layer_count - 1;
    parts.push(`snapshot ${snapshot.slice(0, 15)}…${above > 0 ? ` under ${above} layers` : ''}`);
  }
  return parts.join(', ');
}

function reasonFor({ target }: ReceiptMount): string[] {
  switch (target) {
    case workspaceTarget:
      return ['the snapshot of the run and what the tasks before it sealed'];
    case npmCacheTarget:
      return ['plan: the task installs what its lockfile pins'];
    case secretsTarget:
      return ['plan: the task names secrets'];
    case homeTarget:
    case '/tmp':
      return ['limits.tmp'];
    default:
      return [];
  }
}

function changeOf({ target }: ReceiptMount): string {
  switch (target) {
    case workspaceTarget:
      return 'the workspace itself, or `deps` of the task in the plan';
    case npmCacheTarget:
      return 'the lockfile; only tasks that install packages have it';
    case secretsTarget:
      return '`secrets` of the task in the plan';
    case homeTarget:
    case '/tmp':
      return 'its size: `tmp` in the limits; programs go beneath /workspace';
    default:
      return 'nothing in plan or policy';
  }
}
