import path from 'node:path';
import { exportFormats } from '#contract/audit-export.ts';
import { OrchestraError } from '#contract/errors.ts';
import { formatSize } from '#contract/units.ts';
import { filterOf } from '../audit/filter.ts';
import { checkedExport } from '../audit/checked-export.ts';
import type { Command, Context } from '../context.ts';
import { choiceOption, countOption, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { writeFileFresh } from '../write-file.ts';

const progressMs = 2_000;
const everything = { min: 0, max: Number.MAX_SAFE_INTEGER };

/**
 * Records of the log in the format of somebody else, to a file or a program. A file is there whole or
 * not at all; JSONL is checked against its own manifest and trailer on its way.
 */
export const auditExport: Command = async (context, _args, options) => {
  const { print } = context;
  const format = choiceOption(options, 'format', exportFormats) ?? 'jsonl';
  const query = {
    ...filterOf(options, Date.now()),
    format,
    from: countOption(options, 'from', everything),
    to: countOption(options, 'to', everything),
    enterprise: countOption(options, 'enterprise', { min: 1, max: 4_294_967_295 }),
  };
  const out = textOption(options, 'out') ?? '-';
  if (out === '-') assertNoTerminal(context);
  const client = await context.client();
  // A filter is counted first, which takes as long as the log is.
  const body = await client.bytes('auditExport', { query, timeoutMs: Number.POSITIVE_INFINITY });
  const counted = new Counted(context, body.headers['orchestra-records']);
  const source = body as AsyncIterable<Uint8Array>;
  const bytes = counted.count(format === 'jsonl' ? checkedExport(source) : source);
  if (out === '-') {
    for await (const chunk of bytes) await print.bytes(chunk);
    return 0;
  }
  const file = path.resolve(context.cwd, out);
  await writeFileFresh(file, bytes, { durable: true });
  const { records } = counted;
  if (print.json) print.object({ file, format, bytes: counted.bytes, records });
  else {
    const said = records === undefined ? '' : `${records} records, `;
    print.line(`${safe(file)}  ${said}${formatSize(counted.bytes)}`);
  }
  if (format !== 'jsonl') print.note('not verifiable: for that, --format jsonl or audit extract');
  return 0;
};

/** What a format escapes is enough for a collector and not for a terminal. */
function assertNoTerminal({ io, print }: Context): void {
  if (print.json) {
    throw new OrchestraError('usage.invalid', '--json tells where an export went: name a file', {
      hint: 'orchestra audit export --json -o FILE',
    });
  }
  if (io.stdout.isTTY !== true) return;
  throw new OrchestraError('usage.invalid', 'An export is not written to a terminal', {
    hint: 'name a file with -o, or look with orchestra audit list',
  });
}

class Counted {
  bytes = 0;
  readonly records: number | undefined;
  readonly #context: Context;
  #saidAt = performance.now();

  constructor(context: Context, records: string | string[] | undefined) {
    this.#context = context;
    this.records = typeof records === 'string' && /^\d{1,16}$/.test(records) ? +records : undefined;
  }

  async *count(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.bytes += chunk.length;
      yield chunk;
      if (performance.now() - this.#saidAt < progressMs) continue;
      this.#saidAt = performance.now();
      this.#context.print.note(`${formatSize(this.bytes)} so far`);
    }
  }
}
