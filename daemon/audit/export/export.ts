import { createHash } from 'node:crypto';
import type { AuditExportQuery, ExportManifest } from '#contract/audit-export.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor } from '#contract/records.ts';
import { cutText } from '../../base/text.ts';
import type { Log, LogLine } from '../types.ts';
import { matcher } from './filter.ts';
import type { About } from './format.ts';
import { formats } from './formats.ts';

export type ExporterDeps = {
  log: Log;
  host: string;
  version: string;
  now: () => number;
  /** The tree's root at a size; undefined where nobody can tell. */
  rootAt?: (size: number) => Promise<Uint8Array | undefined> | undefined;
};

export type Export = {
  manifest: ExportManifest;
  contentType: string;
  blocks: AsyncGenerator<Uint8Array, void, undefined>;
};

const atOnceMax = 4;
const blockChars = 64 * 1024;

/** Gives records away, and says so first: who, which and how many is durable before the first byte. */
export class Exporter {
  readonly #deps: ExporterDeps;
  #open = 0;

  constructor(deps: ExporterDeps) {
    this.#deps = deps;
  }

  /**
   * What is in the log now is what comes. A filter is asked twice, first to count: a caller who
   * leaves meanwhile is on record with nothing.
   */
  async open(query: AuditExportQuery, actor: Actor, signal: AbortSignal): Promise<Export> {
    if (this.#open >= atOnceMax) {
      throw new OrchestraError('daemon.busy', `${atOnceMax} exports are under way already`);
    }
    this.#open += 1;
    try {
      return await this.#begin(query, actor, signal);
    } finally {
      this.#open -= 1;
    }
  }

  async #begin(query: AuditExportQuery, actor: Actor, signal: AbortSignal): Promise<Export> {
    const { log, host, version, now, rootAt } = this.#deps;
    const { format: name, from = 0, to, enterprise, ...filter } = query;
    const format = formats[name];
    const size = log.size;
    const end = Math.min(to ?? size, size);
    const range = { from: Math.min(from, end), to: end, run: filter.run };
    const fits = matcher(filter);
    let records = range.to - range.from;
    if (fits) {
      records = 0;
      for await (const line of log.read(range)) {
        signal.throwIfAborted();
        if (fits(line)) records += 1;
      }
    }
    const root = await rootAt?.(size);
    const manifest: ExportManifest = {
      orchestra_export: 1,
      origin: log.origin,
      version,
      time: new Date(now()).toISOString(),
      query: plain(query),
      from_seq: range.from,
      to_seq: range.to,
      records,
      tree_size: size,
      ...(root === undefined ? {} : { root: Buffer.from(root).toString('base64') }),
    };
    await log.append({
      type: 'log.exported',
      actor,
      sev: 'notice',
      data: {
        format: name,
        query: cutText(JSON.stringify(manifest.query), 1024),
        records,
        from_seq: range.from,
        to_seq: range.to,
      },
    });
    const about = { origin: log.origin, host, version, enterprise };
    const lines = log.read(range);
    const text = spelled(lines, { format, fits, manifest, about });
    return {
      manifest,
      contentType: format.contentType,
      blocks: this.#counted(inBlocks(text), signal),
    };
  }

  async *#counted(
    blocks: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.#open += 1;
    try {
      for await (const block of blocks) {
        signal.throwIfAborted();
        yield block;
      }
    } finally {
      this.#open -= 1;
    }
  }
}

async function* spelled(
  lines: AsyncIterable<LogLine>,
  {
    format,
    fits,
    manifest,
    about,
  }: {
    format: (typeof formats)[keyof typeof formats];
    fits: ((line: LogLine) => boolean) | undefined;
    manifest: ExportManifest;
    about: About;
  },
): AsyncGenerator<string, void, undefined> {
  const { lineEnd } = format;
  const sum = createHash('sha256');
  let records = 0;
  if (format.head) yield format.head(manifest) + lineEnd;
  for await (const line of lines) {
    if (fits?.(line) === false) continue;
    const said = format.record(line, about) + lineEnd;
    if (format.tail) sum.update(said);
    records += 1;
    yield said;
  }
  const sha256 = sum.digest('hex');
  if (format.tail) yield format.tail({ orchestra_export_end: 1, records, sha256 }) + lineEnd;
}

async function* inBlocks(
  parts: AsyncIterable<string>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let block = '';
  for await (const part of parts) {
    block += part;
    if (block.length < blockChars) continue;
    yield Buffer.from(block);
    block = '';
  }
  if (block !== '') yield Buffer.from(block);
}

function plain(query: AuditExportQuery): ExportManifest['query'] {
  const said = Object.entries(query).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said) as ExportManifest['query'];
}
