import { z } from 'zod';
import type { Hint } from '#contract/hints.ts';
import { hintsMax } from '#contract/hints.ts';
import type { RecordData } from '#contract/records.ts';
import type { BlobStore } from '../artifacts/blobs.ts';
import { canonicalJson } from '../base/canonical.ts';
import { hintById, hintsIn } from '../sandbox/hints.ts';
import type { OutputSink } from '../sandbox/output.ts';
import { OutputTail } from '../sandbox/output-tail.ts';
import { limitHint, violationHint } from './wall-hints.ts';
import type { RunFacts, TaskFacts } from './state.ts';

const linesBytesMax = 64 * 1024;
const Lines = z.array(z.strictObject({ id: z.string(), line: z.string() })).max(hintsMax);

/** A sink that also remembers the end of what goes through it. */
export function overheard(sink: OutputSink): { sink: OutputSink; tail: OutputTail } {
  const tail = new OutputTail();
  return {
    tail,
    sink: {
      write: (stream, bytes) => {
        // Copied first: the bytes may be another's as soon as the sink has answered.
        tail.see(stream, bytes);
        return sink.write(stream, bytes);
      },
    },
  };
}

/**
 * What the record of a task that did not succeed says of its output. Ids only: the lines are the
 * task's own words and lie beside the log, in a blob, where they can be thrown away.
 */
export async function hintsFor(
  blobs: Pick<BlobStore, 'put'>,
  tail: OutputTail,
): Promise<Pick<RecordData<'task.finished'>, 'hints' | 'hint_lines'>> {
  const found = hintsIn(tail);
  if (found.length === 0) return {};
  const hints = found.map(({ id }) => id);
  try {
    const bytes = Buffer.from(canonicalJson(found));
    const { digest } = await blobs.put(bytes, { maxBytes: linesBytesMax });
    return { hints, hint_lines: digest };
  } catch {
    // Where there is no room for the lines there is none for the output either, which is told.
    return { hints };
  }
}

/** What a reader is told about the walls that a task met: what is on record first. */
export async function hintsOf(task: TaskFacts, blobs: Pick<BlobStore, 'read'>): Promise<Hint[]> {
  const seen = [limitHint(task), violationHint(task)].filter((hint) => hint !== undefined);
  const lines = task.hintLines === undefined ? [] : await linesOf(task.hintLines, blobs);
  const read = (task.hintIds ?? []).flatMap((id): Hint[] => {
    const entry = hintById(id);
    // What is on record needs no guess about the same wall.
    if (entry === undefined || seen.some(({ rule }) => rule === entry.rule)) return [];
    const { rule, title, remedy } = entry;
    const line = lines.find((each) => each.id === id)?.line;
    return [{ id, rule, basis: 'output', title, remedy, ...(line === undefined ? {} : { line }) }];
  });
  return [...seen, ...read];
}

/** For every task of a run that has any. */
export async function hintsByTask(
  run: Pick<RunFacts, 'tasks'>,
  blobs: Pick<BlobStore, 'read'>,
): Promise<Map<string, Hint[]>> {
  const found = new Map<string, Hint[]>();
  for (const [id, task] of run.tasks) {
    const hints = await hintsOf(task, blobs);
    if (hints.length > 0) found.set(id, hints);
  }
  return found;
}

async function linesOf(
  digest: NonNullable<TaskFacts['hintLines']>,
  blobs: Pick<BlobStore, 'read'>,
): Promise<z.infer<typeof Lines>> {
  try {
    const bytes = await blobs.read(digest, { maxBytes: linesBytesMax });
    return Lines.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    // Thrown away since, or damaged: the hint itself stands without its line.
    return [];
  }
}
