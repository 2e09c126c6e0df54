#!/usr/bin/env node
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { parseArgs } from 'node:util';
import { serve } from './serve.ts';
import { Signer } from './signer.ts';

const usage = `orchestra-signer: signs the states of a log, each only if it continues the one before

  orchestra-signer --state DIR [--socket PATH]

  --state DIR    its keys and what it signed last, mode 0700
  --socket PATH  answers here until SIGTERM; without it on stdin and stdout until stdin ends
  --give-up      the log lost records that were signed, for good: a new key signs from now on
`;

const connectionsMax = 8;

async function main(): Promise<void> {
  process.umask(0o077);
  const { state, socket, help, 'give-up': gaveUp } = readFlags();
  if (help === true || state === undefined) {
    process.stdout.write(usage);
    process.exitCode = help === true ? 0 : 1;
    return;
  }
  using signer = await Signer.open({ dir: state });
  if (gaveUp === true) {
    process.stdout.write(`${JSON.stringify(await signer.giveUp())}\n`);
  } else if (socket === undefined) {
    await serve(signer, process.stdin, process.stdout);
  } else {
    await listen(signer, socket);
  }
}

function readFlags() {
  return parseArgs({
    options: {
      state: { type: 'string' },
      socket: { type: 'string' },
      'give-up': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  }).values;
}

async function listen(signer: Signer, path: string): Promise<void> {
  const server = createServer((peer) => {
    peer.on('error', () => {});
    serve(signer, peer, peer)
      .catch(() => {})
      .finally(() => peer.end());
  });
  server.maxConnections = connectionsMax;
  await open(server, path);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve).once('SIGINT', resolve);
  });
  server.close();
}

/** The group of its folder's choice may ask; nobody else may even connect. */
async function open(server: Server, path: string): Promise<void> {
  const isPassed = process.env['LISTEN_PID'] === String(process.pid);
  if (!isPassed && lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) {
    rmSync(path);
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(isPassed ? { fd: 3 } : path, resolve);
  });
  if (!isPassed) chmodSync(path, 0o660);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`orchestra-signer: ${error instanceof Error ? error.message : 'failed'}\n`);
  process.exitCode = 1;
}
// A peer that keeps its connection keeps nobody here.
process.exit();
