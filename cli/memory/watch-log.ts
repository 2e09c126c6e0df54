import { hash } from 'node:crypto';
import { OrchestraError } from '#contract/errors.ts';
import { checkHead, servedBefore } from '../audit-heads.ts';
import type { Client } from '../client/client.ts';
import type { Print } from '../terminal/print.ts';
import type { Env } from '../terminal/streams.ts';
import { parseSignedCheckpoint } from '../../verifier/tlog/checkpoint.ts';
import { judge, type Judged, type Seen } from './judge.ts';
import { CheckpointStore } from './store.ts';

type Watch = {
  env: Env;
  print: Print;
  client: Client;
  /** The socket is a new one each time: its name says nothing. */
  isTemporary: boolean;
  /** Whatever there is now is taken, in place of what was known. */
  accept?: boolean;
};

// The call itself comes after it and has a limit of its own.
const patienceMs = 5_000;

/**
 * Holds the daemon to what its log showed before: one request, and what it shows now is kept. Throws
 * `audit.forked` or `audit.rolled_back` with both notes where the log does not continue what was
 * seen. Answers what is known now; undefined where the daemon shows no signed checkpoint.
 */
export async function watchLog(watch: Watch): Promise<Seen | undefined> {
  const { env, client, print, isTemporary, accept = false } = watch;
  const store = new CheckpointStore(env);
  const served = isTemporary
    ? undefined
    : ((await store.servedBy(client.key)) ?? (await servedBefore(env, client.key)));
  let known = served === undefined ? undefined : await store.newest(served);
  let answer = await ask(client, known);
  if (answer === undefined) {
    if (known !== undefined) {
      print.warn('the daemon shows no signed checkpoint of its log, though it did before');
    }
    return undefined;
  }
  const now = parseSignedCheckpoint(answer.checkpoint);
  const origin = now?.origin ?? '';
  const isOther = served !== undefined && served !== origin;
  if (isOther && !accept) {
    const detail = `${client.address} served the log ${served} before, now it serves ${origin}`;
    throw await misbehaviour(store, { reason: 'other_log', detail }, known, answer.checkpoint);
  }
  if (isOther || (known === undefined && served === undefined)) {
    // Another socket may have shown the same log.
    known = await store.newest(origin);
    if (known !== undefined) answer = (await ask(client, known)) ?? answer;
  }
  const judged = accept ? accepted(known, answer) : judge(known, answer);
  if (!judged.holds) throw await misbehaviour(store, judged, known, answer.checkpoint);
  if (accept && known !== undefined && !judge(known, answer).holds) await store.forget(origin);
  if (known === undefined) await meet(watch, store, judged.seen, origin);
  const { size } = judged.checkpoint;
  const knownSize = known === undefined ? -1 : (parseSignedCheckpoint(known.note)?.size ?? -1);
  const other = size > knownSize || accept ? await store.keep(judged.seen) : undefined;
  if (other !== undefined) {
    const detail = `there are two logs of ${size} records, and both are signed`;
    throw await misbehaviour(store, { reason: 'forked', detail }, other, answer.checkpoint);
  }
  if (!isTemporary && served !== origin) await store.noteServed(client.key, origin);
  return judged.seen;
}

/** The first sight of a log: only what an older version of this program kept can be compared. */
async function meet(
  { env, client, print, accept = false }: Watch,
  store: CheckpointStore,
  { note, vkey }: Seen,
  origin: string,
): Promise<void> {
  const head = accept ? { holds: true as const } : await checkHead(env, client);
  if (!head.holds) {
    const reason = head.reason === 'changed' ? 'forked' : head.reason;
    throw await misbehaviour(store, { reason, detail: head.detail }, undefined, note);
  }
  const fingerprint = hash('sha256', vkey, 'hex');
  print.note(`first sight of the log ${origin}; the sha256 of its key ${fingerprint} is kept`);
}

function accepted(known: Seen | undefined, answer: Parameters<typeof judge>[1]): Judged {
  const continued = judge(known, answer);
  return continued.holds ? continued : judge(undefined, answer);
}

async function ask(client: Client, known: Seen | undefined) {
  const from = known && parseSignedCheckpoint(known.note)?.size;
  try {
    return await client.call('auditCheckpoint', {
      query: known === undefined ? {} : { from, epoch: known.epoch },
      timeoutMs: patienceMs,
    });
  } catch (error) {
    // An older daemon, one whose signer is away, or none: what was wanted of it will say so.
    if (error instanceof OrchestraError && quiet.has(error.code)) return undefined;
    throw error;
  }
}

const quiet: ReadonlySet<string> = new Set([
  'route.unknown',
  'audit.unsigned',
  'audit.unavailable',
  'daemon.stopping',
  'request.timeout',
]);

type Wrong = { reason: 'other_log' | (Judged & { holds: false })['reason']; detail: string };

/** Both notes together show it to anybody who has the key of the log. */
async function misbehaviour(
  store: CheckpointStore,
  { reason, detail }: Wrong,
  known: Seen | undefined,
  now: string,
): Promise<OrchestraError> {
  const text = [
    `orchestra: a log does not continue what it showed before (${reason})`,
    detail,
    ...(known === undefined ? [] : [`key ${known.vkey}`, '', 'seen before:', '', known.note]),
    'shown now:',
    '',
    now,
  ].join('\n');
  const file = await store.keepEvidence(text);
  const code =
    reason === 'rolled_back' || reason === 'other_log' ? 'audit.rolled_back' : 'audit.forked';
  const notes = known === undefined ? [now] : [known.note, now];
  return new OrchestraError(code, `BROKEN: ${detail}`, {
    hint: `hand ${file} to whoever is responsible; if the log was replaced on purpose: orchestra audit verify --accept-new-log`,
    places: notes.map((message) => ({ message })),
  });
}
