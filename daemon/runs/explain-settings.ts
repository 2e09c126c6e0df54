import type { Setting } from '#contract/explain.ts';
import { digestOf } from '../base/canonical.ts';
import { ruleRemedies } from '../policy/remedies.ts';
import { explainLimits } from './explain-limits.ts';
import { explainMounts } from './explain-mounts.ts';
import { byFloor, byRule, type floorWalls, type SettingFacts } from './explain-words.ts';

const never = 'nothing: no policy lifts the floor';
const unknown = 'not kept';

/** Every setting of one sandbox: what was asked, what was got, who decided, what would change it. */
export function explainSettings(facts: SettingFacts): Setting[] {
  return [
    ...explainWork(facts),
    ...explainLimits(facts),
    ...explainMounts(facts),
    ...explainWalls(facts),
    ...explainConfinement(facts),
    ...explainMachine(facts),
  ];
}

function explainWork({ receipt, task, spec, policy, policyName }: SettingFacts): Setting[] {
  const { settings, image } = receipt;
  const names = spec === undefined ? [] : Object.keys(spec.env);
  const own = Object.keys(task.env);
  const seen = settings.command === digestOf(task.command) ? 'the same' : 'given at the release';
  const allowed = policy?.env.join(', ') ?? unknown;
  return [
    {
      name: 'image',
      requested: image.reference,
      effective: `${settings.image} (${image.origin})`,
      decidedBy: [byRule('image'), byFloor('image'), `policy ${policyName}: images, pinned`],
      change: ruleRemedies.image,
    },
    {
      name: 'command',
      requested: `${task.command.length} words, ${digestOf(task.command).slice(0, 15)}…, in ${task.cwd}`,
      effective: seen,
      decidedBy: [byRule('command'), `plan: tool ${task.tool} and its args`],
      change: 'tool, args and cwd of the task in the plan',
    },
    {
      name: 'environment',
      requested: `${names.length} names, ${own.length} of them by the plan`,
      effective:
        settings.env_names.length < names.length
          ? 'given at the release'
          : `${settings.env_names.length} names`,
      decidedBy: [byRule('environment'), `policy ${policyName}: env ${allowed}`],
      change: ruleRemedies.environment,
    },
    {
      name: 'user',
      requested: spec === undefined ? unknown : `${spec.user.uid}:${spec.user.gid}`,
      effective: settings.user,
      decidedBy: [byRule('identity'), byFloor('user')],
      change: 'nothing in plan or policy: it is the user that the daemon keeps for sandboxes',
    },
    {
      name: 'secrets',
      requested: receipt.secrets.join(', ') || 'none',
      effective: receipt.secrets.length === 0 ? 'none' : 'files of a memory file system',
      decidedBy: [byRule('secrets'), `policy ${policyName}: secrets`],
      change: ruleRemedies.secrets,
    },
  ];
}

function explainWalls({ receipt: { settings } }: SettingFacts): Setting[] {
  const wall = (
    name: string,
    by: keyof typeof floorWalls,
    requested: string,
    effective: string,
    change: string = never,
  ): Setting => ({ name, requested, effective, decidedBy: [byFloor(by)], change });
  const list = (items: readonly string[]) => items.join(', ') || 'none';
  return [
    wall(
      'network',
      'network',
      'none',
      settings.network,
      'nothing opens one: packages come from the lockfile, files from the workspace',
    ),
    wall('root', 'root', 'read-only', settings.readonly_root ? 'read-only' : 'writable'),
    wall(
      'capabilities',
      'capabilities',
      'none',
      `added ${list(settings.caps_added)}, dropped ${list(settings.caps_dropped)}`,
    ),
    wall(
      'privileges',
      'privileges',
      'no new ones',
      `${settings.no_new_privileges ? 'no new ones' : 'new ones possible'}, ${settings.privileged ? 'privileged' : 'not privileged'}`,
    ),
    wall('devices', 'devices', 'none', list(settings.devices)),
    wall(
      'namespaces',
      'namespaces',
      'of its own',
      `ipc ${settings.ipc}, pid ${settings.pid}, cgroup ${settings.cgroupns}`,
    ),
    wall(
      'kernel files',
      'kernel',
      'hidden or read-only',
      `${settings.masked_paths} hidden, ${settings.readonly_paths ?? 0} read-only`,
    ),
  ];
}

function explainConfinement({ receipt, spec, policy, policyName }: SettingFacts): Setting[] {
  const { settings } = receipt;
  const isolation = policy?.isolation;
  const demand = (name: 'seccomp' | 'apparmor' | 'selinux' | 'userns') =>
    `policy ${policyName}: isolation.${name} ${isolation?.[name] ?? unknown}`;
  const profile = spec?.seccomp.profile === 'custom' ? 'our own profile' : 'the engine’s profile';
  const ignored = receipt.seccomp_by === 'ignored' ? ` (ignored by ${settings.runtime})` : '';
  const module = (name: 'apparmor' | 'selinux', floor: string[]): Setting => ({
    name,
    requested: spec === undefined ? unknown : (spec[name] ?? 'none'),
    effective: settings[name] === undefined || settings[name] === '' ? 'none' : settings[name],
    decidedBy: [byRule('confinement'), ...floor, demand(name)],
    change: `a kernel and an engine with it; \`isolation.${name}: required\` refuses to run without`,
  });
  return [
    {
      name: 'seccomp',
      requested: spec === undefined ? unknown : profile,
      effective: `${settings.seccomp}${ignored}`,
      decidedBy: [byRule('confinement'), byFloor('seccomp'), demand('seccomp')],
      change: 'nothing widens the filter; `isolation.seccomp: required` refuses machines without',
    },
    module('apparmor', [byFloor('apparmor')]),
    module('selinux', []),
    {
      name: 'user namespace',
      requested: isolation?.userns ?? unknown,
      effective: receipt.userns || receipt.rootless ? 'root is nobody on the host' : 'none',
      decidedBy: [byRule('confinement'), demand('userns')],
      change: 'an engine with userns-remap, or one that runs without root',
    },
    {
      name: 'runtime',
      requested: spec?.runtime ?? unknown,
      effective: settings.runtime,
      decidedBy: [
        byRule('runtime'),
        `policy ${policyName}: isolation.runtimes ${isolation?.runtimes.join(', ') ?? unknown}`,
      ],
      change: "the order of that list, or `runtime` in the daemon's settings",
    },
  ];
}

function explainMachine({ receipt }: SettingFacts): Setting[] {
  const { engine, kernel, kernel_of: whose, lsm, runtime_version: version } = receipt;
  const own = whose === 'runtime' ? ', the task has a kernel of its own' : '';
  return [
    {
      name: 'engine',
      requested: 'the one that answers',
      effective: `${engine.kind} ${engine.version}${version === undefined ? '' : `, ${version}`}`,
      decidedBy: ["the daemon's settings: engine"],
      change: '`engine` in the settings of orchestrad',
    },
    {
      name: 'kernel',
      requested: 'that of the machine',
      effective: `${kernel}${own}; modules: ${lsm.join(', ') || 'none known'}`,
      decidedBy: ['the machine'],
      change: 'another kernel, or a runtime with one of its own (isolation.runtimes)',
    },
  ];
}
