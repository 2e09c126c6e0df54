import { z } from 'zod';
import type { KeysAnswer } from '#contract/checkpoint.ts';
import { OrchestraError } from '#contract/errors.ts';
import { spellProof, spellTlogProof } from '#verifier/tlog/checkpoint.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import { EpochRows } from '../../audit/extract/epoch-rows.ts';
import { tilesTar } from '../../audit/tree/tiles-tar.ts';
import type { Routes } from '../app.ts';
import { sendBytes } from '../send-bytes.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<
  Routes,
  'auditCheckpoint' | 'auditProof' | 'auditKeys' | 'auditKeysRotate' | 'auditTiles'
>;

/** What anybody may keep against this log. Nothing of it is secret, so nobody's asking is recorded. */
export function checkpointRoutes({ runsDeps, index, auditDir, checkpoints }: RouteDeps): Part {
  const rows = checkpoints && new EpochRows({ dir: auditDir, index, checkpoints });
  const there = () => {
    if (checkpoints !== undefined && rows !== undefined) return { checkpoints, rows };
    throw new OrchestraError('audit.unsigned', 'Nobody signs this log');
  };
  const keysNow = (): KeysAnswer => {
    const { checkpoints: signed } = there();
    const { witnessKey } = signed;
    return {
      origin: runsDeps.log.origin,
      keys: signed.keys.map(({ final, ...key }) => ({
        ...key,
        ...(final === undefined ? {} : { final }),
      })),
      ...(witnessKey === undefined ? {} : { witness_key: witnessKey }),
    };
  };
  return {
    auditTiles: async ({ actor, outgoing }) => {
      const { log, trail } = runsDeps;
      const signed = await trail.sign();
      const { size } = signed;
      const data = { what: 'tiles', query: JSON.stringify({ size }), records: size };
      await log.append({ type: 'log.read', actor, data });
      const tar = tilesTar({ log, tree: trail.tree }, signed);
      return sendBytes(outgoing, tar, { 'content-type': 'application/x-tar' });
    },
    auditKeys: () => Promise.resolve(keysNow()),
    auditKeysRotate: async ({ actor }) => {
      await there().checkpoints.rotate(actor);
      return keysNow();
    },
    auditCheckpoint: async ({ query: { from, epoch } }) => {
      const { checkpoints: signed, rows: epochs } = there();
      const newest = signed.newest ?? (await signed.sign());
      const isWithin = from !== undefined && from <= newest.size;
      const isTrivial = from === 0 || from === newest.size;
      const proof = isWithin && !isTrivial ? await signed.tree.consistency(from, newest.size) : [];
      return {
        checkpoint: spellNote(newest.note),
        ...(isWithin ? { consistency: { from, proof: spellProof(proof) } } : {}),
        keys: signed.keys.map(({ epoch: number, vkey, seq }) => ({ epoch: number, vkey, seq })),
        epochs: await epochs.upTo(newest, epoch ?? -1),
      };
    },
    auditProof: async ({ param }) => {
      const { checkpoints: signed } = there();
      const seq = z.coerce.number().int().min(0).parse(param('seq'));
      if (seq >= runsDeps.log.size) {
        throw new OrchestraError('record.unknown', `There is no record ${seq}`, {
          hint: 'orchestra audit tail',
        });
      }
      const { size, note } = await signed.sign(seq + 1);
      const proof = await signed.tree.inclusion(seq, size);
      const text = spellTlogProof({ index: seq, proof, checkpoint: spellNote(note) });
      return new Response(text, { headers: { 'content-type': 'text/plain; charset=utf-8' } });
    },
  };
}
