import { createHash } from 'node:crypto';
import { ExportManifest, ExportTrailer } from '#contract/audit-export.ts';
import { OrchestraError } from '#contract/errors.ts';

const lineBytesMax = 128 * 1024;
const lineFeed = 0x0a;

/**
 * An export as JSONL, handed on as it comes. Throws at its end where manifest, lines and trailer do
 * not fit each other: something was cut off or changed on its way. Holds no more than one line.
 */
export async function* checkedExport(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const sum = createHash('sha256');
  let manifest: string | undefined;
  let held = Buffer.alloc(0);
  let records = 0;
  for await (const chunk of chunks) {
    yield chunk;
    held = Buffer.concat([held, chunk]);
    if (manifest === undefined) {
      const end = held.indexOf(lineFeed);
      if (end >= 0) {
        manifest = held.toString('utf8', 0, end);
        held = held.subarray(end + 1);
      }
    }
    // The last line may be the trailer, so it waits until another one comes.
    const last = manifest === undefined ? -1 : held.lastIndexOf(lineFeed, held.length - 2);
    if (held.length > 1 && last >= 0) {
      const lines = held.subarray(0, last + 1);
      sum.update(lines);
      for (let at = lines.indexOf(lineFeed); at >= 0; at = lines.indexOf(lineFeed, at + 1)) {
        records += 1;
      }
      held = Buffer.from(held.subarray(last + 1));
    }
    if (held.length > lineBytesMax) throw broken('a line has no end');
  }
  const head = ExportManifest.safeParse(parsed(manifest ?? ''));
  const tail = ExportTrailer.safeParse(parsed(held.toString()));
  if (!head.success) throw broken('it has no manifest');
  if (!tail.success || held.at(-1) !== lineFeed) throw broken('it was cut off');
  if (tail.data.records !== records || head.data.records !== records) {
    throw broken(`it holds ${records} records and says ${head.data.records}`);
  }
  if (tail.data.sha256 !== sum.digest('hex')) throw broken('its lines are not what it says');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function broken(why: string): OrchestraError {
  return new OrchestraError('audit.broken', `The export did not arrive as it was sent: ${why}`, {
    hint: 'export it again',
  });
}
