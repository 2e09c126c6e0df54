import { z } from 'zod';
import type { AuditFollow, AuditQuery } from '#contract/audit.ts';
import { OrchestraError } from '#contract/errors.ts';
import { RunId } from '#contract/ids.ts';
import type { Actor } from '#contract/records.ts';
import { spellProof } from '#verifier/tlog/checkpoint.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import { Extractor } from '../../audit/extract/extractor.ts';
import { isEverything, matches, type RecordFilter } from '../../audit/reading/filter.ts';
import { searchSegments, type SegmentPage } from '../../audit/reading/search-segments.ts';
import type { Checkpoints } from '../../audit/tree/types.ts';
import type { LogLine } from '../../audit/types.ts';
import { recordVerified } from '../../audit/verify/background.ts';
import { verifyInThread } from '../../audit/verify/in-thread.ts';
import { cutText } from '../../base/text.ts';
import type { Routes } from '../app.ts';
import { sendBytes } from '../send-bytes.ts';
import { eventStream } from '../streams.ts';
import type { RouteDeps } from './deps.ts';

const hiddenShown = 100;

type Part = Pick<
  Routes,
  | 'auditList'
  | 'auditShow'
  | 'auditFollow'
  | 'auditStats'
  | 'auditExtract'
  | 'auditHead'
  | 'auditVerify'
>;

/** Reading the log is itself recorded: who, what and how many records, before they are handed out. */
export function auditRoutes({ runs, runsDeps, index, auditDir, checkpoints }: RouteDeps): Part {
  const { log, version, clock, vault } = runsDeps;
  const recordRead = async (actor: Actor, what: string, query: object, records: number) => {
    const said = cutText(JSON.stringify(query), 512);
    await log.append({ type: 'log.read', actor, data: { what, query: said, records } });
  };
  const filterOf = (query: z.infer<typeof AuditFollow>) => recordFilter(query, runs);
  const extractor =
    checkpoints &&
    new Extractor({
      dir: auditDir,
      log,
      index,
      checkpoints,
      version,
      now: () => clock.now(),
    });
  return {
    auditList: async ({ query: said, actor }) => {
      const query = vault.asked(said);
      const { last, limit, cursor, source } = query;
      const asked = {
        ...filterOf(query),
        cursor,
        order: last === undefined ? query.order : 'newest',
        limit: last ?? limit,
      } as const;
      const page: Partial<SegmentPage> & Awaited<ReturnType<typeof index.query>> =
        source === 'segments'
          ? await searchSegments({ log, index }, asked)
          : await index.query(asked);
      const lines = last === undefined ? page.lines : page.lines.toReversed();
      await recordRead(actor, 'list', saidOf(query), lines.length);
      const { hidden, next, scanned } = page;
      return {
        items: lines.map(({ record, hash }) => ({ record, hash })),
        ...(next === undefined || (last !== undefined && lines.length >= last)
          ? {}
          : { next_cursor: next }),
        scanned,
        ...(hidden && { hidden: { count: hidden.length, first: hidden.slice(0, hiddenShown) } }),
      };
    },
    auditShow: async ({ param, actor }) => {
      const seq = z.coerce.number().int().min(0).parse(param('seq'));
      const found = await index.find(seq);
      if (!found) {
        throw new OrchestraError(
          'record.unknown',
          seq < log.first ? `Record ${seq} was pruned` : `There is no record ${seq}`,
          {
            hint:
              seq < log.first
                ? 'orchestra audit list --type log.pruned says by whom'
                : 'orchestra audit tail',
          },
        );
      }
      await recordRead(actor, 'show', { seq }, 1);
      const { record, hash, line } = found;
      const proof = await proofOf(seq, checkpoints);
      return { record, hash, line, ...(proof && { proof }) };
    },
    auditFollow: async ({ query: said, actor, signal, incoming }) => {
      const query = vault.asked(said);
      // Whoever was cut off goes on behind the last record that arrived.
      const seen = /^\d{1,15}$/.exec(incoming.headers['last-event-id']?.toString() ?? '')?.[0];
      const from = seen === undefined ? (query.from ?? log.size) : Number(seen) + 1;
      const filter = filterOf(query);
      await recordRead(actor, 'follow', { ...saidOf(query), from }, 0);
      const lines = log.follow({ from, signal });
      return eventStream(isEverything(filter) ? lines : those(lines, filter));
    },
    auditStats: async ({ query, actor }) => {
      const stats = await index.stats(query);
      await recordRead(actor, 'stats', query, 0);
      const { firstAt, lastAt, hours, ...counts } = stats;
      const of = (type: string) => counts.types.find(({ name }) => name === type)?.records ?? 0;
      return {
        origin: log.origin,
        ...counts,
        ...(firstAt !== undefined && { first_at: timeOf(firstAt) }),
        ...(lastAt !== undefined && { last_at: timeOf(lastAt) }),
        runs: {
          submitted: of('run.submitted'),
          closed: of('run.closed'),
          open: log.openRuns().length,
        },
        hours: {
          all: hours.all,
          covered: hours.covered,
          heartbeats: hours.heartbeats,
          longest_gap: hours.longestGap,
          ...(hours.gapFrom !== undefined && { gap_from: timeOf(hours.gapFrom) }),
        },
      };
    },
    auditExtract: async ({ param, actor, outgoing }) => {
      if (extractor === undefined) {
        throw new OrchestraError('audit.unsigned', 'This log is signed by nobody');
      }
      const tar = await extractor.extract(runs.find(param('id')).id, actor);
      return sendBytes(outgoing, tar, { 'content-type': 'application/x-tar' });
    },
    auditHead: async ({ query: { seq } }) => {
      const head = { ...log.head, origin: log.origin };
      const found = seq === undefined ? undefined : await index.find(seq);
      return found === undefined ? head : { ...head, at: found.hash };
    },
    auditVerify: async ({ body: { keys, checkpoints: kept }, actor }) => {
      const options = { upTo: log.size, keys, checkpoints: kept };
      const verdict = await verifyInThread({ dir: auditDir, options, stepsBack: false });
      await recordVerified(log, verdict, actor);
      return { ...verdict, exit_code: verdict.exit };
    },
  };
}

function recordFilter(
  { run, since, until, type, actor, outcome, sev, text }: z.infer<typeof AuditFollow>,
  runs: RouteDeps['runs'],
): RecordFilter {
  return {
    type,
    actor,
    outcome,
    sev,
    text,
    // A whole id is taken as it is: its run may have been forgotten, and its records are there.
    run: run === undefined || RunId.safeParse(run).success ? run : runs.find(run).id,
    since: since === undefined ? undefined : Date.parse(since),
    until: until === undefined ? undefined : Date.parse(until),
  };
}

/** What was asked for, without what nobody said. */
function saidOf(query: Partial<z.infer<typeof AuditQuery>>): object {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
}

async function* those(
  lines: AsyncGenerator<LogLine, void, undefined>,
  filter: RecordFilter,
): AsyncGenerator<LogLine, void, undefined> {
  for await (const line of lines) if (matches(line, filter)) yield line;
}

async function proofOf(seq: number, checkpoints: Checkpoints | undefined) {
  const newest = checkpoints?.newest;
  if (checkpoints === undefined || newest === undefined || newest.size <= seq) return undefined;
  const hashes = spellProof(await checkpoints.tree.inclusion(seq, newest.size));
  return { hashes, checkpoint: spellNote(newest.note) };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
