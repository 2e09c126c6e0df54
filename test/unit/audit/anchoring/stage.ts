import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Anchoring, type AnchoringParts } from '#daemon/audit/anchoring/anchoring.ts';
import { AnchorLedger } from '#daemon/audit/anchoring/ledger.ts';
import { anchoringKeys, anchoringSettings } from '#daemon/audit/anchoring/settings.ts';
import type { Log } from '#daemon/audit/types.ts';
import { KnownLog, newSecret } from '#test/support/known-log.ts';
import { vkeyOf } from '#signer/sign-note.ts';
import { parseVkey } from '#verifier/tlog/note.ts';
import { LatestFiles } from '#witness/latest-files.ts';
import { witnessServer } from '#witness/serve.ts';
import { Witness } from '#witness/witness.ts';
import { z } from 'zod';

/** A log, who is told of it, and nobody else. */
export type Stage = AsyncDisposable & {
  log: KnownLog;
  ledger: AnchorLedger;
  anchoring: Anchoring;
  /** Stops, and goes on as the next daemon on the same log does. */
  restart(settings?: object): Promise<void>;
};

/** `settings` as they stand in the settings file. */
export async function openStage(
  settings: object,
  { log = new KnownLog(), pauses = { firstMs: 5, mostMs: 20 } } = {},
): Promise<Stage> {
  const open = (document: object) => {
    const parsed = anchoringSettings(z.strictObject(anchoringKeys).parse(document));
    const ledger = new AnchorLedger(parsed);
    for (const record of log.records) ledger.fold(record);
    log.onRecord = (record) => ledger.fold(record);
    const parts: AnchoringParts = {
      log: log as unknown as Log,
      checkpoints: log.checkpoints,
      ledger,
      settings: parsed,
      clock: { now: () => log.now },
      logger: { warn: () => {} },
      home: '/nonexistent',
      pauses,
    };
    const anchoring = new Anchoring(parts);
    anchoring.start();
    return { ledger, anchoring };
  };
  const stage: Stage = {
    log,
    ...open(settings),
    restart: async (changed = settings) => {
      await stage.anchoring.close();
      Object.assign(stage, open(changed));
    },
    [Symbol.asyncDispose]: () => stage.anchoring.close(),
  };
  await log.grow(3);
  return stage;
}

/** A witness as one is configured, and what is behind its address. */
export type Peer = AsyncDisposable & { member: { name: string; url: string; vkey: string } };

/** The real one, over the loopback. */
export async function realWitness(
  dir: string,
  log: KnownLog,
  { name = 'w1', secret = newSecret() } = {},
): Promise<Peer> {
  const known = parseVkey(log.checkpoints.witnessKey);
  const key = { name: `witness.example/${name}`, secret };
  const latest = await LatestFiles.open(join(dir, name));
  const witness = new Witness({ key, logs: known ? [known] : [], latest });
  const server = witnessServer(witness);
  return serve(server, { name, vkey: vkeyOf(key, 'cosignature') });
}

/** Something that answers as the test likes, under a key that is known. */
export function oddWitness(
  answer: RequestListener,
  { name = 'odd', secret = newSecret() } = {},
): Promise<Peer> {
  const vkey = vkeyOf({ name: `witness.example/${name}`, secret }, 'cosignature');
  return serve(createServer(answer), { name, vkey });
}

async function serve(
  server: ReturnType<typeof createServer>,
  { name, vkey }: { name: string; vkey: string },
): Promise<Peer> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    member: { name, url: `http://127.0.0.1:${port}/`, vkey },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const actor = { kind: 'user', auth: 'peer', uid: 1000 } as const;
