import type { AuditPage, AuditRow } from '#contract/audit.ts';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import { filterOf } from '../audit/filter.ts';
import { wantsRaw } from '../audit/raw.ts';
import { exactLine, leafOf, recordLine } from '../audit/record-line.ts';
import type { Client } from '../client/client.ts';
import type { Command, Context } from '../context.ts';
import { countOption, flagOption } from '../options.ts';

const pageMax = 500;
const limitMax = 1_000_000;

/**
 * Records by filter, page by page. With `--from-segments` the files are read instead of the index, to
 * the end, and what the index would have hidden ends the command with 4.
 */
export const auditList: Command = async (context, _args, options) => {
  const { print } = context;
  const isRaw = wantsRaw(context, options);
  const fromSegments = flagOption(options, 'fromSegments');
  const limit = countOption(options, 'limit', { min: 1, max: limitMax });
  const newest = flagOption(options, 'newest');
  const from = countOption(options, 'from', { min: 0, max: Number.MAX_SAFE_INTEGER });
  const search: Search = {
    query: {
      ...filterOf(options, Date.now()),
      order: newest ? 'newest' : undefined,
      source: fromSegments ? 'segments' : undefined,
    },
    // Pages go on behind a number, and this is the first that is wanted.
    cursor: from === undefined ? undefined : newest ? from + 1 : from === 0 ? undefined : from - 1,
    limit: limit ?? (fromSegments ? limitMax : 50),
  };
  const found = new Found();
  for await (const page of pagesOf(await context.client(), search)) {
    found.add(page, print.json);
    if (!print.json) for (const row of page.items) await show(context, row, isRaw);
  }
  if (print.json) print.object(found.answer());
  const next = found.next;
  if (next !== undefined) print.note(`there are more: --from ${newest ? next - 1 : next + 1}`);
  if (!fromSegments) return 0;
  return judge(context, found);
};

export const auditTail: Command = async (context, _args, options) => {
  const isRaw = wantsRaw(context, options);
  const client = await context.client();
  const filter = filterOf(options, Date.now());
  const last = countOption(options, 'limit', { min: 1, max: pageMax }) ?? 20;
  const page = await client.call('auditList', { query: { ...filter, last } });
  for (const row of page.items) await show(context, row, isRaw);
  if (!flagOption(options, 'follow')) return 0;
  const stopped = new AbortController();
  let code = 130;
  using _taken = context.interrupts.take((signal) => {
    code = signal === 'SIGINT' ? 130 : 143;
    stopped.abort();
  });
  // From where that answer ended: nothing between is missed, and nothing comes twice.
  const from = page.scanned?.to ?? (page.items.at(-1)?.record.seq ?? -1) + 1;
  for await (const record of client.events('auditFollow', {
    query: { ...filter, from },
    signal: stopped.signal,
  })) {
    await show(context, { record }, isRaw);
  }
  return code;
};

type Search = {
  query: Record<string, string | undefined>;
  cursor: number | undefined;
  limit: number;
};

async function* pagesOf(client: Client, { query, cursor, limit }: Search) {
  let left = limit;
  for (let at = cursor; left > 0;) {
    const page = await client.call('auditList', {
      query: { ...query, cursor: at, limit: Math.min(left, pageMax) },
      timeoutMs: 10 * 60_000,
    });
    yield page;
    left -= page.items.length;
    at = page.next_cursor;
    if (at === undefined) return;
  }
}

async function show(
  { print }: Context,
  { record, hash }: Pick<AuditRow, 'record'> & { hash?: string },
  isRaw: boolean,
): Promise<void> {
  if (print.json) {
    await print.chunk(hash === undefined ? { record } : { record, hash });
    return;
  }
  if (!isRaw) {
    print.line(recordLine(record, print.out));
    return;
  }
  const line = exactLine(record);
  if (hash !== undefined && leafOf(line) !== hash) {
    throw new OrchestraError(
      'audit.broken',
      `Record ${record.seq} does not have the hash that the daemon says it has`,
      { hint: 'orchestra audit verify' },
    );
  }
  await print.bytes(Buffer.from(`${line}\n`));
}

/** What came of all pages together. */
class Found {
  readonly #items: AuditRow[] = [];
  #scanned: AuditPage['scanned'];
  #hidden: AuditPage['hidden'];
  #compared = true;
  next: number | undefined;

  add({ items, next_cursor: next, scanned, hidden }: AuditPage, keep: boolean): void {
    if (keep) this.#items.push(...items);
    this.next = next;
    if (scanned !== undefined) {
      const before = this.#scanned ?? scanned;
      this.#scanned = {
        from: Math.min(before.from, scanned.from),
        to: Math.max(before.to, scanned.to),
      };
    }
    if (hidden === undefined) this.#compared = false;
    else {
      const first = [...(this.#hidden?.first ?? []), ...hidden.first].slice(0, 100);
      this.#hidden = { count: (this.#hidden?.count ?? 0) + hidden.count, first };
    }
  }

  get scanned(): AuditPage['scanned'] {
    return this.#scanned;
  }

  get hidden(): AuditPage['hidden'] {
    return this.#compared ? this.#hidden : undefined;
  }

  answer(): AuditPage {
    return {
      items: this.#items,
      ...(this.next === undefined ? {} : { next_cursor: this.next }),
      ...(this.#scanned && { scanned: this.#scanned }),
      ...(this.hidden && { hidden: this.hidden }),
    };
  }
}

function judge({ print }: Context, { scanned, hidden }: Found): number {
  const range = scanned && `records ${scanned.from} to ${Math.max(scanned.from, scanned.to - 1)}`;
  if (hidden === undefined) {
    print.warn(`${range ?? 'the segments'} were read; the index could not be asked`);
    return 0;
  }
  if (hidden.count === 0) {
    print.note(`${range ?? 'all records'} were read from the segments; the index hides none`);
    return 0;
  }
  print.warn(
    print.err.red(
      `the index hides ${hidden.count} of these records: ${hidden.first.map((seq) => `#${seq}`).join(' ')}`,
    ),
  );
  print.warn('hint: delete index.sqlite while the daemon is stopped; it is made again');
  return exitCodes.violation;
}
