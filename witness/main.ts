#!/usr/bin/env node
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseVkey, type VerifierKey } from '#verifier/tlog/note.ts';
import { lockState } from '../signer/lock.ts';
import { vkeyOf } from '../signer/sign-note.ts';
import { LatestFiles } from './latest-files.ts';
import { ownKey } from './own-key.ts';
import { witnessServer } from './serve.ts';
import { Witness } from './witness.ts';

const usage = `orchestra-witness: cosigns checkpoints of logs, each only if it continues the one before

  orchestra-witness --listen ADDRESS:PORT --state DIR --log VKEY [--log VKEY] [--name NAME] [--key FILE]

  --listen ADDRESS:PORT  such as 127.0.0.1:7780; speaks C2SP tlog-witness over plain HTTP
  --state DIR            what it cosigned last, and its key
  --log VKEY             a log that it watches, as \`orchestra audit witnesses\` prints it
  --name NAME            what it is called in signatures, fixed at the first start
  --key FILE             an Ed25519 key in PEM (default: DIR/key.pem, made when missing)
`;

async function main(): Promise<void> {
  process.umask(0o077);
  const { listen, state, log = [], name, key, help } = readFlags();
  if (help === true || listen === undefined || state === undefined || log.length === 0) {
    process.stdout.write(usage);
    process.exitCode = help === true ? 0 : 1;
    return;
  }
  const { host, port } = addressIn(listen);
  const logs = log.map(logKey);
  mkdirSync(state, { recursive: true, mode: 0o700 });
  using _lock = lockState(state);
  const own = await ownKey(state, { file: key, name });
  const latest = await LatestFiles.open(join(state, 'logs'));
  const server = witnessServer(new Witness({ key: own, logs, latest }));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const at = server.address();
  const shown = typeof at === 'object' && at !== null ? `${at.address}:${at.port}` : listen;
  process.stdout.write(`vkey ${vkeyOf(own, 'cosignature')}\nlistening on ${shown}\n`);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve).once('SIGINT', resolve);
  });
  server.close();
  server.closeAllConnections();
}

function readFlags() {
  return parseArgs({
    options: {
      listen: { type: 'string' },
      state: { type: 'string' },
      log: { type: 'string', multiple: true },
      name: { type: 'string' },
      key: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values;
}

function addressIn(text: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(?:\[?([^\]]+)\]?):(\d{1,5})$/.exec(text) ?? [];
  if (host === '' || Number(port) > 65_535) throw new Error(`--listen ${text} is no ADDRESS:PORT`);
  return { host, port: Number(port) };
}

function logKey(vkey: string): VerifierKey {
  const key = parseVkey(vkey);
  if (key?.kind === 'ed25519') return key;
  throw new Error(`--log ${vkey} is not the Ed25519 key of a log`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`orchestra-witness: ${error instanceof Error ? error.message : 'failed'}\n`);
  process.exitCode = 1;
}
