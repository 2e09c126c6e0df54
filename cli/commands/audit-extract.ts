import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { lstat, mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { Command, Context, Options } from '../context.ts';
import { CheckpointStore } from '../memory/store.ts';
import { flagOption, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { unwritable } from '../write-file.ts';
import type { BundleFiles } from '../../verifier/bundle/read.ts';
import type { Verdict } from '../../verifier/verdict.ts';

const bundleBytesMax = 512 * 1024 * 1024;

/**
 * Every record of a run with its proof, as a folder or a tar, checked here before anything is said of
 * it. A bundle that contradicts itself is kept all the same, since it is evidence, and ends with 4.
 */
export const auditExtract: Command = async (context, [run = ''], options) => {
  const client = await context.client();
  const { id } = await client.call('runShow', { params: { id: run } });
  const target = path.resolve(context.cwd, textOption(options, 'out') ?? `${id}-extract`);
  const isTar = target.endsWith('.tar');
  if (!isTar) await assertFree(target);
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const body = await client.bytes('auditExtract', { params: { id }, timeoutMs: 10 * 60_000 });
    await save(body, temporary);
    const { files, verdict } = await check(context, temporary, textOption(options, 'key'));
    if (isTar) await rename(temporary, target).catch(cannotWrite(target));
    else await unpack(files, target, `${temporary}.d`);
    return tell(context, { id, target, verdict }, options);
  } finally {
    await rm(temporary, { force: true });
  }
};

async function save(body: AsyncIterable<Uint8Array>, file: string): Promise<void> {
  let bytes = 0;
  const limited = async function* () {
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > bundleBytesMax) {
        throw new OrchestraError('request.too_large', 'The extract is larger than any run can be');
      }
      yield chunk;
    }
  };
  const sink = createWriteStream(file, { flags: 'wx', mode: 0o644 });
  await pipeline(limited(), sink).catch(cannotWrite(file));
}

/** By the verifier's own reading: what it did not look at never reaches the disk. */
async function check(
  { env }: Context,
  file: string,
  key: string | undefined,
): Promise<{ files: BundleFiles; verdict: Verdict }> {
  const { readBundle } = await import('../../verifier/bundle/read.ts');
  const { verifyBundle } = await import('../../verifier/bundle/verify.ts');
  const { readTrust } = await import('../../verifier/trust.ts');
  const { parseSignedCheckpoint } = await import('../../verifier/tlog/checkpoint.ts');
  const files = await readBundle(file);
  if (typeof files === 'string') {
    throw new OrchestraError('audit.broken', `What came is no extract of a run: ${files}`);
  }
  const origin = parseSignedCheckpoint(files.checkpoint)?.origin;
  const known = origin === undefined ? undefined : await new CheckpointStore(env).newest(origin);
  const trust = readTrust({
    keys: key === undefined ? (known === undefined ? [] : [known.vkey]) : [key],
    checkpoints: known === undefined ? [] : [known.note],
  });
  if (typeof trust === 'string') {
    throw new OrchestraError('usage.invalid', `--key: ${trust}`, {
      hint: 'a key is written name+hash+base64, as orchestra audit verify prints it',
    });
  }
  return { files, verdict: verifyBundle(files, trust) };
}

async function unpack(files: BundleFiles, target: string, temporary: string): Promise<void> {
  try {
    await mkdir(temporary, { mode: 0o755 });
    for (const [name, bytes] of Object.entries(files)) {
      await writeFile(path.join(temporary, name), bytes, { flag: 'wx' });
    }
    // Only an empty folder may be in its place: it was looked at before.
    await rmdir(target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await rename(temporary, target);
  } catch (cause) {
    throw unwritable(target, cause);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function assertFree(target: string): Promise<void> {
  const info = await lstat(target).catch(() => undefined);
  if (info === undefined) return;
  const { readdir } = await import('node:fs/promises');
  if (info.isDirectory() && (await readdir(target)).length === 0) return;
  throw new OrchestraError('usage.invalid', `${target} is there already`, {
    hint: 'name another place: -o DIR or -o FILE.tar',
  });
}

const words: Readonly<Record<Verdict['verdict'], string>> = {
  verified: 'OK',
  tampered: 'BROKEN',
  unchecked: 'COULD NOT BE CHECKED',
  incomplete: 'SOUND BUT INCOMPLETE',
};

function tell(
  { print }: Context,
  { id, target, verdict }: { id: string; target: string; verdict: Verdict },
  options: Options,
): number {
  const exit = exitOf(verdict.exit, flagOption(options, 'strict'));
  if (print.json) {
    print.object({ run: id, path: target, ...verdict, exit_code: exit });
    return exit;
  }
  const style = exit !== 0 ? 'red' : verdict.exit === 0 ? 'green' : 'yellow';
  const count = `${verdict.records} records of ${safe(id)}`;
  print.line(`${print.out[style](words[verdict.verdict])}  ${count}  ${safe(target)}`);
  print.line(`  reach     ${safe(verdict.reach)}`);
  for (const { reason, file, seq, detail } of verdict.findings) {
    const where = file === '' ? '' : ` ${safe(file)}, record ${seq}:`;
    print.line(`  ${safe(reason)}${where} ${safe(detail)}`);
  }
  for (const note of verdict.notes) print.line(`  note      ${safe(note)}`);
  for (const note of verdict.evidence) print.line(`  signed    ${safe(note)}`);
  return exit;
}

/** 0 verified, 1 tampered, 2 could not check, 3 sound but incomplete. */
function exitOf(exit: Verdict['exit'], strict: boolean): number {
  if (exit === 0 || (exit === 3 && !strict)) return exitCodes.ok;
  return exit === 2 ? exitCodes.config : exitCodes.violation;
}

function cannotWrite(file: string): (cause: unknown) => never {
  return (cause) => {
    throw cause instanceof OrchestraError ? cause : unwritable(file, cause);
  };
}
