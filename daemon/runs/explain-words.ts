import type { PlanTask } from '#contract/plan.ts';
import type { RecordData } from '#contract/records.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import type { RuleName } from '../policy/rules/index.ts';
import type { SandboxSpec } from '../policy/spec.ts';

export type SettingFacts = {
  receipt: RecordData<'sandbox.receipt'>;
  task: PlanTask;
  /** Gone where the blob was thrown away: then only the receipt speaks. */
  spec: SandboxSpec | undefined;
  policy: Omit<EffectivePolicy, 'digest'> | undefined;
  policyName: string;
  clamped: readonly string[];
  narrowed: readonly string[];
};

/** The parts of the floor that decide a setting, each named as a person reads it. */
export const floorWalls = {
  network: 'no network',
  root: 'a read-only root',
  capabilities: 'no capability',
  privileges: 'never privileged, no new privileges',
  devices: 'no device',
  namespaces: 'no namespace of the host',
  user: 'never root',
  image: 'an image by its digest',
  limits: 'every limit is set',
  seccomp: 'a filter that denies by default',
  apparmor: 'AppArmor is never switched off',
  mounts: "only the daemon's own directories",
  kernel: 'the kernel files of the engine’s own list stay hidden',
} as const;

export const byFloor = (wall: keyof typeof floorWalls) => `floor: ${floorWalls[wall]}`;
export const byRule = (name: RuleName) => `rule ${name}`;
