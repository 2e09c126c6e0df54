#!/usr/bin/env node
import { writeSync } from 'node:fs';
import { constants } from 'node:os';
import { isVersionQuestion, printVersion } from './version.ts';

/**
 * The `orchestra` command. Whatever goes wrong ends in a code of the table: Node's own exit code 1
 * for an uncaught exception would read as a mistake of the user, and 13 as nothing at all.
 */
trapEverything();
const args = process.argv.slice(2);
if (isVersionQuestion(args)) {
  // Without the parser and everything behind it: this is what scripts ask in a loop.
  printVersion(process.stdout, args.includes('--json'));
} else {
  const { runCli } = await import('./run-cli.ts');
  process.exitCode = await runCli(args, {
    io: { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr },
    env: process.env,
    cwd: process.cwd(),
    onSignal: (listener) => {
      process.on('SIGINT', () => listener('SIGINT'));
      process.on('SIGTERM', () => listener('SIGTERM'));
      // The terminal is gone: the same as being asked to end.
      process.on('SIGHUP', () => listener('SIGTERM'));
    },
    exitNow: (code) => process.exit(code),
  });
}

function trapEverything(): void {
  process.exitCode = 70; // Until something better is known: also when the event loop runs dry.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // The reader went away (`orchestra runs | head -1`): that is its right, and no news.
      if (error.code === 'EPIPE') process.exit(128 + constants.signals.SIGPIPE);
      die(error);
    });
  }
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}

function die(error: unknown): never {
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  try {
    // oxlint-disable-next-line no-control-regex -- control characters are what must not get out
    const shown = trace.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '?');
    writeSync(2, `orchestra: this is a bug in Orchestra, not in what you did\n${shown}\nexit 70\n`);
  } catch {
    // Nobody reads stderr any more.
  }
  process.exit(70);
}
