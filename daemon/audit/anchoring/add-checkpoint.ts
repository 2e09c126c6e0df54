import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { parseSize, spellProof, type SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import type { Proof } from '#verifier/tlog/merkle.ts';
import {
  parseSignature,
  signedBy,
  spellNote,
  type NoteSignature,
  type VerifierKey,
} from '#verifier/tlog/note.ts';
import { deadlineSignal } from '../../base/deadline.ts';
import type { Undelivered } from './delivery.ts';
import { lookupNearby } from './nearby.ts';

export type WitnessAnswer =
  | { kind: 'cosigned'; lines: NoteSignature[]; time: number }
  | { kind: 'conflict'; size: number }
  | ({ kind: 'failed' } & Undelivered);

type Asked = {
  url: URL;
  key: VerifierKey;
  old: number;
  proof: Proof;
  checkpoint: SignedCheckpoint;
  timeoutMs: number;
  signal: AbortSignal;
};

const answerBytesMax = 64 * 1024;

/**
 * One `add-checkpoint` of C2SP tlog-witness. The deadline counts for all of it, however slowly the
 * other side drips. A redirect is not followed. Only signatures of the configured key are returned,
 * and only when they hold.
 */
export async function addCheckpoint(asked: Asked): Promise<WitnessAnswer> {
  const { old, proof, checkpoint, key, timeoutMs } = asked;
  const signal = deadlineSignal(timeoutMs, asked.signal);
  const body = [`old ${old}`, ...spellProof(proof), '', spellNote(checkpoint.note)].join('\n');
  let status: number;
  let text: string;
  try {
    ({ status, text } = await post(asked.url, body, signal));
  } catch (cause) {
    return signal.aborted
      ? failed('timeout', { detail: `no whole answer within ${timeoutMs} ms` })
      : failed('unreachable', { detail: (cause as Error).message });
  }
  const said = { status, detail: `HTTP ${status} ${shown(text)}` };
  if (status === 200) return cosigned(text, checkpoint, key);
  if (status === 409) {
    const size = /^\d+\n$/.test(text) ? parseSize(text.trimEnd()) : undefined;
    return size === undefined ? failed('bad_answer', said) : { kind: 'conflict', size };
  }
  if (status === 422) return failed('inconsistent', { ...said, isRefusal: true, isAlarm: true });
  const reason = refusals[status];
  if (reason !== undefined) return failed(reason, { ...said, isRefusal: true });
  return failed(status >= 300 && status < 400 ? 'redirect' : 'bad_answer', said);
}

const refusals: Readonly<Record<number, string>> = {
  400: 'malformed',
  403: 'untrusted_key',
  404: 'unknown_log',
};

function cosigned(text: string, { note }: SignedCheckpoint, key: VerifierKey): WitnessAnswer {
  const lines = text.endsWith('\n') ? text.slice(0, -1).split('\n') : [];
  const signatures = lines.length > 64 ? [] : lines.flatMap((line) => parseSignature(line) ?? []);
  const own = signatures.filter(({ name, id }) => name === key.name && id === key.id);
  const signed = signedBy({ text: note.text, signatures: own }, key);
  const said = { status: 200, detail: shown(text) };
  if (!signed.signed) {
    return signed.why === 'wrong'
      ? failed('wrong_signature', { ...said, isAlarm: true })
      : failed('bad_answer', { ...said, detail: `no cosignature of ${key.name}: ${said.detail}` });
  }
  const time = signed.at ?? 0;
  // A cosignature without its time says nothing of when the log looked like this.
  if (time === 0 || !Number.isSafeInteger(time)) return failed('bad_answer', said);
  return { kind: 'cosigned', lines: own, time };
}

async function post(
  url: URL,
  body: string,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const isPlain = url.protocol === 'http:';
  const options: RequestOptions = {
    method: 'POST',
    agent: false,
    signal,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    },
    ...(isPlain ? { lookup: lookupNearby } : {}),
  };
  const target = new URL(`${url.pathname.replace(/\/$/, '')}/add-checkpoint`, url);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (isPlain ? http : https).request(target, options, resolve);
  request.on('error', reject);
  request.end(body);
  const response = await promise;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) {
      response.destroy();
      throw new Error(`the answer has more than ${answerBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
}

function failed(
  reason: string,
  more: Omit<Undelivered, 'ok' | 'reason'>,
): WitnessAnswer & { kind: 'failed' } {
  return { kind: 'failed', ok: false, reason, ...more };
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
