import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor, RecordType } from '#contract/records.ts';
import { verifyLog } from '#verifier/verify.ts';
import { cutText } from '../../base/text.ts';
import type { Routes } from '../app.ts';
import { eventStream } from '../streams.ts';
import type { RouteDeps } from './deps.ts';

/** Small enough that requests are answered while a long log is read. */
const verifyChunkBytes = 256 * 1024;

type Part = Pick<Routes, 'auditList' | 'auditShow' | 'auditFollow' | 'auditHead' | 'auditVerify'>;

/** Reading the log is itself recorded: who, what and how many records, before they are handed out. */
export function auditRoutes({ runsDeps, index, auditDir }: RouteDeps): Part {
  const { log } = runsDeps;
  const recordRead = async (actor: Actor, what: string, query: object, records: number) => {
    const said = cutText(JSON.stringify(query), 512);
    await log.append({ type: 'log.read', actor, data: { what, query: said, records } });
  };
  return {
    auditList: async ({ query, actor }) => {
      const { last, limit, since, until, type, ...rest } = query;
      const page = await index.query({
        ...rest,
        type: type as RecordType | undefined,
        since: since === undefined ? undefined : Date.parse(since),
        until: until === undefined ? undefined : Date.parse(until),
        order: last === undefined ? 'oldest' : 'newest',
        limit: last ?? limit,
      });
      const lines = last === undefined ? page.lines : page.lines.toReversed();
      await recordRead(actor, 'list', query, lines.length);
      return {
        items: lines.map(({ record, hash }) => ({ record, hash })),
        ...(last === undefined && page.next !== undefined ? { next_cursor: page.next } : {}),
      };
    },
    auditShow: async ({ param, actor }) => {
      const seq = z.coerce.number().int().min(0).parse(param('seq'));
      const line = await index.find(seq);
      if (!line) {
        throw new OrchestraError('record.unknown', `There is no record ${seq}`, {
          hint: 'orchestra audit tail',
        });
      }
      await recordRead(actor, 'show', { seq }, 1);
      return { record: line.record, hash: line.hash };
    },
    auditFollow: async ({ query, actor, signal }) => {
      const from = query.from ?? log.size;
      await recordRead(actor, 'follow', { from }, 0);
      return eventStream(log.follow({ from, signal }));
    },
    auditHead: () => Promise.resolve({ ...log.head, origin: log.origin }),
    auditVerify: async ({ actor }) => {
      const upTo = log.size;
      const verdict = await verifyLog(auditDir, { upTo, chunkBytes: verifyChunkBytes });
      await log.append({
        type: 'log.verified',
        actor,
        outcome: verdict.exit === 1 ? 'failed' : 'ok',
        sev: verdict.exit === 1 ? 'alert' : 'info',
        data: {
          records: verdict.records,
          verdict: verdict.verdict,
          reason: cutText(verdict.findings[0]?.reason ?? '', 64),
          duration_ms: verdict.durationMs,
        },
      });
      return { ...verdict, exit_code: verdict.exit };
    },
  };
}
