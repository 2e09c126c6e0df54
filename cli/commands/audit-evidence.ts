import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { OrchestraError } from '#contract/errors.ts';
import { timeOption } from '../audit/filter.ts';
import type { Command, Context } from '../context.ts';
import { textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { unwritable } from '../write-file.ts';

type Manifest = {
  records: number;
  complete: boolean;
  tree_size: number;
  files: Record<string, string>;
  pruned?: { until: string; by_record: number };
};

const filesMax = 64;
const manifestBytesMax = 1024 * 1024;

/**
 * Evidence of a time as a folder or a tar. Every file is hashed on its way and compared with the
 * manifest before anything is there under the name that was asked for.
 */
export const auditEvidence: Command = async (context, _args, options) => {
  const now = Date.now();
  const from = timeOption({ since: options['from'] }, 'since', now);
  const to = timeOption({ until: options['to'] }, 'until', now) ?? new Date(now).toISOString();
  if (from === undefined) {
    throw new OrchestraError('usage.invalid', 'Say from when on: --from 2026-01-01');
  }
  const out = textOption(options, 'out') ?? `evidence-${from.slice(0, 10)}-${to.slice(0, 10)}`;
  const target = path.resolve(context.cwd, out);
  const isTar = target.endsWith('.tar');
  await assertFree(target, isTar);
  const client = await context.client();
  const query = { from, to };
  const body = await client.bytes('auditEvidence', { query, timeoutMs: Number.POSITIVE_INFINITY });
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
  const folder = `${temporary}.d`;
  try {
    await mkdir(folder, { mode: 0o700 });
    await pipeline(
      body as AsyncIterable<Uint8Array>,
      createWriteStream(temporary, { flags: 'wx', mode: 0o600 }),
    );
    const manifest = await unpack(temporary, folder);
    if (isTar) await rename(temporary, target);
    else {
      await rmdir(target).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
      await rename(folder, target);
    }
    tell(context, target, manifest);
    return 0;
  } catch (cause) {
    throw cause instanceof OrchestraError ? cause : unwritable(target, cause);
  } finally {
    await rm(temporary, { force: true });
    await rm(folder, { recursive: true, force: true });
  }
};

async function unpack(tar: string, folder: string): Promise<Manifest> {
  const digests = new Map<string, string>();
  let manifest = '';
  const reader = extract();
  const reading = pipeline(createReadStream(tar), reader);
  // Whatever breaks below breaks this off as well, and is told there.
  reading.catch(() => undefined);
  for await (const entry of reader) {
    const { name, type, size } = entry.header;
    const isFile = type === 'file' && /^[a-z][a-z0-9._-]{0,63}$/.test(name);
    if (!isFile || digests.has(name) || digests.size >= filesMax)
      throw notEvidence(`it has ${name}`);
    if (name === 'manifest.json' && size > manifestBytesMax)
      throw notEvidence('its manifest is huge');
    const sha256 = createHash('sha256');
    const sink = createWriteStream(path.join(folder, name), { flags: 'wx', mode: 0o600 });
    const hashed = async function* () {
      for await (const block of entry as AsyncIterable<Buffer>) {
        sha256.update(block);
        if (name === 'manifest.json') manifest += block.toString('latin1');
        yield block;
      }
    };
    await pipeline(hashed, sink);
    digests.set(name, sha256.digest('hex'));
  }
  await reading;
  return checked(Buffer.from(manifest, 'latin1').toString('utf8'), digests);
}

function checked(text: string, digests: ReadonlyMap<string, string>): Manifest {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(text) as Manifest;
  } catch {
    throw notEvidence('it has no manifest');
  }
  for (const [name, sha256] of Object.entries(manifest.files ?? {})) {
    if (digests.get(name) !== sha256) throw notEvidence(`${name} is not what its manifest says`);
  }
  const unnamed = [...digests.keys()].filter(
    (name) => manifest.files?.[name] === undefined && !besides.has(name),
  );
  if (unnamed.length > 0) throw notEvidence(`nothing names ${unnamed.join(', ')}`);
  return manifest;
}

const besides = new Set(['manifest.json', 'attestation.json']);

function notEvidence(why: string): OrchestraError {
  return new OrchestraError('audit.broken', `What came is no evidence: ${safe(why)}`);
}

async function assertFree(target: string, isTar: boolean): Promise<void> {
  const info = await lstat(target).catch(() => undefined);
  if (info === undefined) return;
  if (!isTar && info.isDirectory() && (await readdir(target)).length === 0) return;
  throw new OrchestraError('usage.invalid', `${target} is there already`, {
    hint: 'name another place: -o DIR or -o FILE.tar',
  });
}

function tell({ print }: Context, target: string, manifest: Manifest): void {
  if (print.json) {
    print.object({ path: target, ...manifest });
    return;
  }
  const { records, complete, pruned, tree_size: size, files } = manifest;
  print.line(`${safe(target)}  ${records} records, ${Object.keys(files).length} files`);
  print.line(`  signed    as of ${size} records`);
  if (complete) return;
  const by = `what was recorded up to ${safe(pruned?.until ?? '?')} was pruned`;
  print.line(print.out.yellow(`  partly    ${by} (record ${pruned?.by_record ?? '?'})`));
}
