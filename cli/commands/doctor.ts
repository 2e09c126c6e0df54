import { access, constants, statfs } from 'node:fs/promises';
import path from 'node:path';
import type { WhoAmI } from '#contract/access.ts';
import type { Check } from '#contract/api.ts';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import { formatSize } from '#contract/units.ts';
import { findEngine } from '#setup/engine/find.ts';
import { listImages } from '#setup/image/images.ts';
import { defaultPaths } from '#setup/paths.ts';
import { chooseHost } from '../client/host.ts';
import type { Command, Context } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { pad } from '../terminal/text.ts';
import { productVersion } from '../version.ts';
import { nameOf } from './whoami.ts';

const roomBytes = 2 * 1024 ** 3;

/** What is there and what is missing, each with its remedy. Works without a daemon. */
export const doctor: Command = async (context) => {
  const { print } = context;
  const checks: Check[] = [nodeCheck()];
  const daemon = await daemonChecks(context);
  checks.push(...daemon.checks);
  // The daemon sees its own engine; without one, this is what it would find.
  if (!daemon.answered) checks.push(...(await engineChecks(context)), await roomCheck(context));
  checks.push(await folderCheck(context));
  const problems = checks.filter((check) => check.status === 'problem').length;
  const warnings = checks.filter((check) => check.status === 'warning').length;
  const exit = problems > 0 ? exitCodes.config : exitCodes.ok;
  if (print.json) {
    print.object({ checks, problems, warnings, exit_code: exit });
    return exit;
  }
  const wide = Math.max(...checks.map((check) => check.name.length));
  for (const check of checks) print.line(lineOf(context, check, wide));
  const said = [count(problems, 'problem'), count(warnings, 'warning')].join(', ');
  print.line(exit === 0 ? `${said}.` : `${said}.   exit ${exit}`);
  return exit;
};

function count(number: number, word: string): string {
  return `${number === 0 ? 'no' : number} ${word}${number === 1 ? '' : 's'}`;
}

const marks = { ok: ['✔', 'green'], warning: ['!', 'yellow'], problem: ['✗', 'red'] } as const;

function lineOf({ print }: Context, check: Check, wide: number): string {
  const [icon, style] = marks[check.status];
  const remedy = check.remedy === undefined ? '' : `  → ${safe(check.remedy)}`;
  return `${print.out[style](icon)} ${pad(safe(check.name), wide)}  ${safe(check.message)}${remedy}`;
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = major > 24 || (major === 24 && minor >= 15);
  return fits
    ? { name: 'node', status: 'ok', message: `${process.version}, orchestra ${productVersion()}` }
    : {
        name: 'node',
        status: 'problem',
        message: `${process.version} is too old, 24.15 is the least`,
        remedy: 'npm run setup in a checkout, or install a newer Node',
      };
}

async function daemonChecks(context: Context): Promise<{ answered: boolean; checks: Check[] }> {
  const host = context.globals.local
    ? '--local'
    : chooseHost(context.globals.host, context.env).text;
  try {
    const client = await context.client();
    const version = await client.call('version', { timeoutMs: 5000 });
    const message = `${host}, ${version.version}, API ${version.api}, node ${version.node}`;
    const daemon: Check = { name: 'daemon', status: 'ok', message };
    const me = await client.call('whoAmI', { timeoutMs: 5000 }).catch(olderDaemon);
    const you = me === undefined ? [] : [youCheck(me)];
    // Whoever may do nothing is told that, and nothing of the rest.
    if (me?.roles.length === 0) return { answered: true, checks: [daemon, ...you] };
    const { checks } = await client.call('doctor', { timeoutMs: 30_000 });
    return { answered: true, checks: [daemon, ...you, ...checks] };
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    const places = error.places.map((place) => place.message);
    const message = [error.message, ...places].join('; ');
    return {
      answered: false,
      checks: [
        {
          name: 'daemon',
          status: 'problem',
          message,
          remedy: error.hint ?? 'start orchestrad, or use --local',
        },
      ],
    };
  }
}

function olderDaemon(error: unknown): undefined {
  if (error instanceof OrchestraError && error.code === 'route.unknown') return undefined;
  throw error;
}

/** As whom the daemon knows the caller. */
function youCheck(me: WhoAmI): Check {
  const roles = [...new Set(me.roles.map(({ role }) => role))].join(', ');
  return me.roles.length === 0
    ? {
        name: 'you',
        status: 'problem',
        message: `${nameOf(me)}, without any role`,
        remedy: 'ask for one: access in the configuration of orchestrad names who has which',
      }
    : { name: 'you', status: 'ok', message: `${nameOf(me)}: ${roles}` };
}

async function engineChecks({ env }: Context): Promise<Check[]> {
  try {
    const engine = await findEngine({ env });
    const { kind, version, host, origin } = engine;
    const found: Check = {
      name: 'engine',
      status: 'ok',
      message: `${kind} ${version} at ${host} (${origin})`,
    };
    return [found, await imageCheck(engine)];
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    return [
      {
        name: 'engine',
        status: 'problem',
        message: [error.message, ...error.places.map((place) => place.message)].join('; '),
        remedy: error.hint ?? 'start a container engine',
      },
    ];
  }
}

async function imageCheck(engine: { host: string }): Promise<Check> {
  const remedy = 'npm run setup in a checkout, or: orchestra image build';
  try {
    const images = await listImages({ engine });
    const [image] = images;
    return image === undefined
      ? { name: 'image', status: 'problem', message: 'the engine has no sandbox image', remedy }
      : { name: 'image', status: 'ok', message: `${image.tag}, ${image.origin}, ${image.id}` };
  } catch (error) {
    return { name: 'image', status: 'problem', message: String(error), remedy };
  }
}

async function roomCheck({ env, globals }: Context): Promise<Check> {
  let dir = globals.stateDir ?? defaultPaths(env, process.getuid?.() ?? -1).stateDir;
  for (;;) {
    try {
      const { bavail, bsize } = await statfs(dir);
      const free = bavail * bsize;
      const message = `${formatSize(free)} free for ${dir}`;
      return free >= roomBytes
        ? { name: 'disk', status: 'ok', message }
        : {
            name: 'disk',
            status: 'problem',
            message: `${message}, ${formatSize(roomBytes)} needed`,
            remedy: 'make room, or choose another --state-dir',
          };
    } catch (cause) {
      const parent = path.dirname(dir);
      if (parent === dir) return { name: 'disk', status: 'warning', message: String(cause) };
      dir = parent;
    }
  }
}

async function folderCheck({ cwd }: Context): Promise<Check> {
  try {
    await access(cwd, constants.W_OK);
    return { name: 'folder', status: 'ok', message: `${path.join(cwd, 'runs')} can be written` };
  } catch {
    return {
      name: 'folder',
      status: 'warning',
      message: `${path.join(cwd, 'runs')} cannot be written`,
      remedy: 'run elsewhere, or use --report-dir',
    };
  }
}
