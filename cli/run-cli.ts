import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import {
  Interrupts,
  type Context,
  type GlobalOptions,
  type Options,
  type Outside,
} from './context.ts';
import { parseArguments } from './parse.ts';
import { Print } from './terminal/print.ts';

/** Runs one command line to its exit code. Throws nothing. */
export async function runCli(args: readonly string[], outside: Outside): Promise<number> {
  // Before the parser has had its say, so that its own complaints come in the asked-for form.
  const early = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  let print = new Print(outside.io, {
    env: outside.env,
    json: early.includes('--json'),
    noColor: early.includes('--no-color'),
    verbosity: 'normal',
  });
  await using cleanup = new AsyncDisposableStack();
  try {
    const parsed = parseArguments(args);
    print = printFor(outside, parsed.options);
    if (parsed.kind === 'text') {
      if (print.json) print.object({ help: parsed.text });
      else print.line(parsed.text.trimEnd());
      return exitCodes.ok;
    }
    const run = await parsed.command.load();
    const context = contextFor(outside, parsed.options, print, cleanup);
    return await run(context, parsed.args, parsed.options);
  } catch (error) {
    const { showError } = await import('./show-error.ts');
    return await showError(error, print);
  }
}

function contextFor(
  outside: Outside,
  options: Options,
  print: Print,
  cleanup: AsyncDisposableStack,
): Context {
  const globals = globalOptions(options);
  let client: ReturnType<Context['client']> | undefined;
  const leave = async (code: number) => {
    await cleanup.disposeAsync().catch(() => undefined);
    outside.exitNow(code);
  };
  const interrupts = new Interrupts((signal) => {
    void leave(signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated);
  });
  outside.onSignal(interrupts.deliver);
  return {
    outside,
    env: outside.env,
    cwd: outside.cwd,
    io: outside.io,
    globals,
    print,
    interrupts,
    client: async () => (client ??= connectWatched(outside, options, globals, print, cleanup)),
  };
}

/** No command speaks to a daemon whose log is not the one that it was. */
async function connectWatched(
  outside: Outside,
  options: Options,
  ...[globals, print, cleanup]: [GlobalOptions, Print, AsyncDisposableStack]
): ReturnType<Context['client']> {
  const client = await connect(outside, globals, print, cleanup);
  const { watchLog } = await import('./memory/watch-log.ts');
  const accept = options['acceptNewLog'] === true;
  await watchLog({ env: outside.env, print, client, isTemporary: globals.local, accept });
  return client;
}

async function connect(
  outside: Outside,
  globals: GlobalOptions,
  print: Print,
  cleanup: AsyncDisposableStack,
): ReturnType<Context['client']> {
  const { Client } = await import('./client/client.ts');
  const { chooseHost } = await import('./client/host.ts');
  if (!globals.local) {
    if (globals.stateDir !== undefined) {
      throw new OrchestraError('usage.invalid', '--state-dir belongs to --local', {
        hint: 'a daemon that runs already has its own: orchestra config show',
      });
    }
    const { address } = chooseHost(globals.host, outside.env);
    const { withCredentials } = await import('./client/credentials.ts');
    const client = new Client(
      address.kind === 'socket' ? address : await withCredentials(address, outside.env),
    );
    cleanup.defer(() => client.close());
    return client;
  }
  const { startLocalDaemon } = await import('./local.ts');
  const socketPath = await startLocalDaemon(
    {
      env: outside.env,
      ...(globals.stateDir === undefined
        ? {}
        : { stateDir: path.resolve(outside.cwd, globals.stateDir) }),
      progress: (message) => print.note(message),
    },
    cleanup,
  );
  const client = new Client(socketPath);
  cleanup.defer(() => client.close());
  return client;
}

function globalOptions(options: Options): GlobalOptions {
  const text = (name: string) => (typeof options[name] === 'string' ? options[name] : undefined);
  const [host, stateDir] = [text('host'), text('stateDir')];
  const local = options['local'] === true;
  if (local && host !== undefined) {
    throw new OrchestraError('usage.invalid', '--local and --host exclude each other');
  }
  return {
    json: options['json'] === true,
    local,
    ...(host === undefined ? {} : { host }),
    ...(stateDir === undefined ? {} : { stateDir }),
  };
}

function printFor(outside: Outside, options: Options): Print {
  return new Print(outside.io, {
    env: outside.env,
    json: options['json'] === true,
    noColor: options['color'] === false,
    verbosity:
      options['quiet'] === true ? 'quiet' : options['verbose'] === true ? 'verbose' : 'normal',
  });
}
