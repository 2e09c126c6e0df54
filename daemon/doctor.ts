import type { Check } from '#contract/api.ts';
import { OrchestraError } from '#contract/errors.ts';
import { formatSize } from '#contract/units.ts';
import { examineEscapes } from './escapes.ts';
import { runtimeFacts } from './engine/runtime-facts.ts';
import type { CallerReader } from './access/caller.ts';
import { chooseRuntime } from './policy/runtime-choice.ts';
import type { RunsDeps } from './runs/deps.ts';
import { asksForTools } from './runs/tools/tools.ts';

/** What this daemon runs on, said as it is found now, each gap with its remedy. */
export async function examine(
  deps: RunsDeps,
  readers: readonly Pick<CallerReader, 'proof' | 'missing'>[],
): Promise<Check[]> {
  return [
    engine(deps),
    examineEscapes(deps.engineFacts.components),
    runtimes(deps),
    ...isolation(deps),
    await start(deps),
    layers(deps),
    await image(deps),
    await programs(deps),
    caller(readers),
    await secrets(deps),
    await planners(deps),
    await policies(deps),
    await disk(deps),
    log(deps),
    signatures(deps),
    anchors(deps),
  ];
}

function engine({ engineFacts: facts, runtime: named, policies }: RunsDeps): Check {
  const runtime = chooseRuntime(policies.byDefault().policy, facts, named);
  return {
    name: 'engine',
    status: 'ok',
    message: `${facts.kind} ${facts.version}, API ${facts.apiVersion}, kernel ${facts.kernel}, runtime ${runtime}`,
  };
}

/** Every rung that the engine has, and what is to be known of the one in use. */
function runtimes({ engineFacts: facts, runtime: named, policies }: RunsDeps): Check {
  const used = chooseRuntime(policies.byDefault().policy, facts, named);
  const { kernel, remarks } = facts.runtimeFacts?.[used] ?? runtimeFacts(used);
  const said = [`${used}: ${kernel} kernel answers tasks`, ...remarks];
  const message = `${said.join('; ')}; the engine has ${facts.runtimes.join(', ')}`;
  return { name: 'runtime', status: 'ok', message };
}

/** Which way sandboxes start in, and what those cost that wait for tasks. */
async function start({ sandbox }: RunsDeps): Promise<Check> {
  const { reason, ready, readyMax, memoryBytes } = await sandbox.slots.show();
  return reason === undefined
    ? {
        name: 'start',
        status: 'ok',
        message: `sandboxes are made ahead: ${ready} of ${readyMax} stand ready, holding ${formatSize(memoryBytes)} beside the engine's own`,
      }
    : {
        name: 'start',
        status: 'warning',
        message: `each sandbox is made when its task is there: ${reason}`,
        remedy: 'run orchestrad as root, in the mount namespace of its engine, on a shared mount',
      };
}

/** Which way what a task sees gets to it. */
function layers({ layersWay: way }: RunsDeps): Check {
  const name = 'layers';
  if (way === 'mounts') {
    return { name, status: 'ok', message: 'the engine mounts the directories of this daemon' };
  }
  return {
    name,
    status: 'warning',
    message:
      'the engine does not see the disk of this daemon: what a task sees goes there and comes back as tar streams, and its limits of disk are judged when it has ended',
    remedy: 'run orchestrad on the machine of its engine',
  };
}

/** Who makes plans of words, and who of them cannot now. Nobody is asked for that. */
async function planners({ planners: all }: RunsDeps): Promise<Check> {
  const standing = await all.standing();
  const name = 'planners';
  const bad = standing.filter(({ trouble }) => trouble !== undefined);
  const message = standing
    .map((one) => (one.trouble === undefined ? one.name : `${one.name}: ${one.trouble}`))
    .join('; ');
  if (bad.length === 0) return { name, status: 'ok', message };
  return { name, status: 'warning', message, remedy: 'see docs/PLANNERS.md, Configuration' };
}

/** Whether what is in force is what the files say. */
async function policies({ policies: book }: RunsDeps): Promise<Check> {
  const { rows, unread, refused } = await book.compare();
  const off = rows.filter(({ on_disk: on }) => on !== 'same');
  const name = 'policies';
  if (refused === undefined && off.length + unread.length === 0) {
    return { name, status: 'ok', message: `${rows.length} in force, as their files say` };
  }
  const said = [
    ...off.map((row) => `${row.name} is ${row.on_disk} on disk`),
    ...unread.map((file) => `${file} is not loaded`),
    ...(refused === undefined ? [] : [`the last reload was refused: ${refused}`]),
  ];
  return {
    name,
    status: 'warning',
    message: `what is in force is older than the files: ${said.slice(0, 8).join('; ')}`,
    remedy: 'orchestra policy reload',
  };
}

function isolation({ engineFacts: facts, walls }: RunsDeps): Check[] {
  const { memory, swap, pids, cpu } = facts.limits;
  const missing = Object.entries({ memory, swap, pids, cpu }).filter(([, isThere]) => !isThere);
  return [
    {
      name: 'seccomp',
      status: facts.seccomp ? 'ok' : 'problem',
      message:
        walls.seccomp === undefined
          ? 'the engine reports no seccomp'
          : `on, Orchestra’s profile ${walls.seccomp.digest.slice(0, 19)}`,
      ...(facts.seccomp ? {} : { remedy: 'use a kernel and an engine built with seccomp' }),
    },
    {
      name: 'lsm',
      status: facts.apparmor || facts.selinux ? 'ok' : 'warning',
      message: facts.apparmor
        ? `AppArmor, profile ${walls.apparmor ?? 'of the engine'}`
        : facts.selinux
          ? `SELinux, type ${walls.selinux ?? 'of the engine'}`
          : 'the engine has neither AppArmor nor SELinux',
      ...(facts.apparmor || facts.selinux
        ? {}
        : { remedy: 'boot a kernel with AppArmor for a second wall' }),
    },
    {
      name: 'limits',
      status: missing.length === 0 ? 'ok' : 'problem',
      message:
        missing.length === 0
          ? `memory, swap, pids and cpu are kept by the engine (cgroup v${facts.cgroupVersion}); disk, files, output and time by orchestrad; the rest by the kernel`
          : `not enforced: ${missing.map(([name]) => name).join(', ')}`,
      ...(missing.length === 0 ? {} : { remedy: 'enable these cgroup controllers' }),
    },
    {
      name: 'userns',
      status: facts.rootless || facts.usersFrom ? 'ok' : facts.userns ? 'problem' : 'warning',
      message: facts.rootless
        ? 'the engine runs without root'
        : facts.userns
          ? mappedUsers(facts)
          : 'rootful, without user namespaces: whoever reaches its socket is root here',
      ...(facts.rootless || facts.usersFrom
        ? {}
        : {
            remedy: facts.userns
              ? 'an engine whose data directory is named after the users it maps to, or none that maps'
              : 'keep its socket to root and to orchestrad',
          }),
    },
    {
      name: 'network',
      status: 'ok',
      message: 'tasks have a loopback interface and nothing else',
    },
  ];
}

function mappedUsers({ usersFrom }: RunsDeps['engineFacts']): string {
  return usersFrom === undefined
    ? 'the engine maps users and does not say to whom; tasks are refused'
    : `root of a sandbox is user ${usersFrom.uid} here, group ${usersFrom.gid} (userns-remap)`;
}

/** Whether the programs of the image are known, where the policy asks for those on no list. */
async function programs({ images, tools, policies }: RunsDeps): Promise<Check> {
  const name = 'tools';
  const asks = asksForTools(policies.byDefault().policy);
  const [row] = await images.list();
  const known = row?.present === undefined ? undefined : tools.advertisements.get(row.present);
  const trouble =
    row?.present === undefined ? undefined : tools.advertisements.troubleOf(row.present);
  if (known === undefined || trouble !== undefined) {
    return {
      name,
      status: asks ? 'warning' : 'ok',
      message:
        trouble ??
        'the programs of the image are not measured yet; they are when they are first needed',
      ...(asks ? { remedy: 'orchestra tools' } : {}),
    };
  }
  const { tools: count, wrong } = known;
  const said = asks ? 'what is on no list is asked for' : 'the policy asks for none of them';
  const message = `${count} programs of the image are measured; ${said}`;
  if (wrong.length === 0) return { name, status: 'ok', message };
  return {
    name,
    status: 'warning',
    message: `${message}; the image says of ${wrong.join(', ')} what is not so`,
    remedy: 'orchestra tools; build or pull the image anew',
  };
}

async function image({ images }: RunsDeps): Promise<Check> {
  const [row] = await images.list();
  if (row?.present === undefined) {
    return {
      name: 'image',
      status: 'problem',
      message: `${row?.reference ?? 'the sandbox image'} is not in the engine`,
      remedy: 'orchestra image build',
    };
  }
  const isOther = row.pinned !== undefined && row.pinned !== row.present;
  return {
    name: 'image',
    status: isOther ? 'problem' : row.origin === 'assembled' ? 'warning' : 'ok',
    message: isOther
      ? `${row.reference} is ${row.present}, pinned is ${row.pinned}`
      : `${row.reference}, ${row.origin}, ${row.present}`,
    ...(isOther
      ? { remedy: `orchestra image pin ${row.reference}` }
      : row.origin === 'assembled'
        ? { remedy: 'with a registry in reach: docker pull node:20-alpine' }
        : {}),
  };
}

function caller([strongest]: readonly Pick<CallerReader, 'proof' | 'missing'>[]): Check {
  const name = 'identity';
  if (strongest?.proof === 'peer') {
    return { name, status: 'ok', message: 'callers are named by the kernel (SO_PEERCRED)' };
  }
  const how =
    strongest?.proof === 'owner'
      ? 'callers prove who they are by files of theirs'
      : 'callers are known only by their access to the socket';
  return {
    name,
    status: 'warning',
    message: `${how}: ${strongest?.missing ?? ''}`,
    remedy: 'install the koffi package for this platform, and leave identity out of the settings',
  };
}

/** What is free, and below what nothing is started or what runs is ended. */
async function secrets({ secrets: store }: RunsDeps): Promise<Check> {
  const name = 'secrets';
  try {
    const { length } = await store.list();
    const message = `${length} ${store.writable ? "in the daemon's own directory" : 'from outside'}`;
    return { name, status: 'ok', message };
  } catch (error) {
    const known = error instanceof OrchestraError ? error : undefined;
    const message = known?.message ?? 'they cannot be listed';
    return { name, status: 'problem', message, remedy: known?.hint ?? 'look at its directory' };
  }
}

async function disk({ workspace }: RunsDeps): Promise<Check> {
  const { space } = workspace.disk;
  const now = await space.read();
  const { refuse, stop } = space.floors(now);
  const files = now.filesTotal === 0 ? '' : ` and ${now.filesFree} files`;
  const message =
    `${formatSize(now.free)}${files} free for the state directory; ` +
    `below ${formatSize(refuse.bytes)} nothing is started, below ${formatSize(stop.bytes)} what runs is ended`;
  const level = space.level(now);
  const isTight = now.free < refuse.bytes * 2;
  return {
    name: 'disk',
    status: level !== 'enough' ? 'problem' : isTight ? 'warning' : 'ok',
    message,
    ...(level !== 'enough' || isTight
      ? { remedy: `free at least ${formatSize(refuse.bytes * 2)} there` }
      : {}),
  };
}

function log({ log: audit }: RunsDeps): Check {
  if (audit.blocked) {
    return {
      name: 'audit',
      status: 'problem',
      message: audit.blocked.message,
      remedy: 'restart orchestrad once the disk is in order',
    };
  }
  return { name: 'audit', status: 'ok', message: `${audit.size} records; orchestra audit verify` };
}

/** Whether anybody beyond this machine holds the log, so that not even its root can change it. */
function anchors({ anchoring }: RunsDeps): Check {
  const { anchored, targets, unanchored, limit, quorum } = anchoring.view();
  if (targets.length === 0) {
    return {
      name: 'anchors',
      status: 'ok',
      message: 'none are configured; what the users of the CLI saw is all that others hold',
    };
  }
  const held = `${anchored} records are held elsewhere, ${unanchored.records} here only`;
  const said = quorum === undefined ? held : `${held}; ${quorum.need} of ${quorum.of} witnesses`;
  const failing = targets.filter(({ failures }) => failures > 0);
  const names = failing.map(({ name, failure }) => `${name}: ${failure?.reason ?? 'failed'}`);
  const isPassed = limit?.passed === true;
  if (failing.length === 0 && !isPassed) return { name: 'anchors', status: 'ok', message: said };
  return {
    name: 'anchors',
    status: isPassed ? 'problem' : 'warning',
    message: [said, ...names].join('; '),
    remedy: 'orchestra audit witnesses; once they answer: orchestra audit anchor',
  };
}

/** Whether somebody who is not the daemon has signed the records there are. */
function signatures({ trail }: RunsDeps): Check {
  const { newest, trouble, unsigned, keys } = trail;
  const message =
    newest === undefined
      ? 'nothing of the log is signed yet'
      : `${newest.size} records are signed, ${unsigned} are not yet; key of epoch ${keys.at(-1)?.epoch ?? 0}`;
  if (trouble === undefined) return { name: 'signatures', status: 'ok', message };
  return {
    name: 'signatures',
    status: 'problem',
    message: `${message}; ${trouble}`,
    remedy: 'see the log of orchestrad and of its signer; new runs are refused after five minutes',
  };
}
