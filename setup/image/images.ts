import { randomUUID } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { parseHost } from '../engine/find.ts';
import { ask, askJson, type Endpoint } from '../engine/http.ts';
import { withLock } from '../lock.ts';
import type { Progress } from '../progress.ts';
import { makeArchive } from './archive.ts';
import { describeImage, type ImageDescription } from './description.ts';
import { readImageArchive } from './read-archive.ts';
import { assembleImage, recipeVersion } from './recipe.ts';

export type EngineAddress = { host: string };

export type SandboxImage = {
  /** The name that was asked for, such as node:20-alpine. */
  reference: string;
  /** What the engine knows the image by; policies pin this. */
  id: string;
  origin: 'pulled' | 'assembled';
  /** The tag that really names it: the reference, or the fallback when it was assembled. */
  tag: string;
  libc: 'musl' | 'glibc';
  /** Where a pulled image came from, by digest. */
  digest?: string;
  sizeBytes: number;
  labels: Readonly<Record<string, string>>;
};

type Options = { engine: EngineAddress; cacheDir: string; progress: Progress };

/**
 * The sandbox image, in the engine: found there under its reference; else assembled before; else
 * pulled where a registry answers; else assembled now. Touches no network when it is there already.
 */
export async function ensureImage({
  reference = 'node:20-alpine',
  ...options
}: Options & { reference?: string }): Promise<SandboxImage> {
  const image = describeImage();
  if (reference !== image.reference) {
    throw new OrchestraError('image.unknown', `No sandbox image is described for ${reference}`, {
      hint: `the one there is: ${image.reference}`,
    });
  }
  return (
    (await present(options.engine, image)) ??
    withLock(
      path.join(options.cacheDir, 'image.lock'),
      async () =>
        (await present(options.engine, image)) ??
        (await pullImage(options, image)) ??
        buildImageLocked(options, image),
      { onWait: () => options.progress('waiting for another set-up that prepares the image') },
    )
  );
}

/** Every image of the engine that a task may run in: the described ones that are there. */
export async function listImages({ engine }: { engine: EngineAddress }): Promise<SandboxImage[]> {
  const image = describeImage();
  const found = await Promise.all([
    inspect(engine, image, image.reference),
    inspect(engine, image, image.fallback),
  ]);
  return found.filter((each) => each !== undefined);
}

/** Assembles the image and loads it, whether or not one is there. The same inputs give the same ID. */
export async function buildImage(options: Options): Promise<SandboxImage> {
  return withLock(path.join(options.cacheDir, 'image.lock'), async () =>
    buildImageLocked(options, describeImage()),
  );
}

/**
 * Loads a docker-archive of one image. What the engine has then is what the archive's own
 * configuration hashes to, or this throws.
 */
export async function loadImage({
  engine,
  file,
}: {
  engine: EngineAddress;
  file: string;
}): Promise<{ id: string; tags: string[] }> {
  const { id, tags } = await readImageArchive(file).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message.slice(0, 300) : String(cause);
    throw new OrchestraError('image.unknown', `${file} is no archive of one image: ${why}`, {
      hint: 'docker save REFERENCE > FILE makes one',
      cause,
    });
  });
  await loadArchive(engine, createReadStream(file));
  const answer = await askJson(parseHost(engine.host), {
    path: `/images/${id}/json`,
    timeoutMs: 10_000,
  });
  if (answer === undefined) throw loadedAnother();
  return { id, tags };
}

async function loadArchive(engine: EngineAddress, body: Readable): Promise<void> {
  await consume(
    parseHost(engine.host),
    {
      method: 'POST',
      path: '/images/load?quiet=1',
      body,
      headers: { 'Content-Type': 'application/x-tar' },
    },
    5 * 60_000,
  );
}

function loadedAnother(): OrchestraError {
  return new OrchestraError('engine.failed', 'The engine loaded another image than it was given', {
    hint: 'orchestra doctor',
  });
}

async function present(
  engine: EngineAddress,
  image: ImageDescription,
): Promise<SandboxImage | undefined> {
  const pulled = await inspect(engine, image, image.reference);
  if (pulled !== undefined) return pulled;
  const assembled = await inspect(engine, image, image.fallback);
  return assembled?.labels['orchestra.image.recipe'] === recipeVersion ? assembled : undefined;
}

const Inspected = z.object({
  Id: z.string().regex(/^(sha256:)?[0-9a-f]{64}$/),
  RepoDigests: z.array(z.string()).nullish(),
  Size: z.number(),
  Config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
});

async function inspect(
  engine: EngineAddress,
  image: ImageDescription,
  tag: string,
): Promise<SandboxImage | undefined> {
  const answer = await askJson(parseHost(engine.host), {
    path: `/images/${tag}/json`,
    timeoutMs: 10_000,
  });
  if (answer === undefined) return undefined;
  const { Id, RepoDigests, Size, Config } = Inspected.parse(answer);
  const labels = Config?.Labels ?? {};
  // What it is says its label, not its tag: somebody may have tagged one as the other.
  const origin = labels['orchestra.image.origin'] === 'assembled' ? 'assembled' : 'pulled';
  const digest = RepoDigests?.[0];
  return {
    reference: image.reference,
    id: Id.startsWith('sha256:') ? Id : `sha256:${Id}`,
    origin,
    tag,
    libc: image.libc[origin],
    ...(digest === undefined ? {} : { digest }),
    sizeBytes: Size,
    labels,
  };
}

// A registry that answers does so soon; one that cannot be reached may never. Layers take longer.
const firstAnswerMs = 15_000;
const silenceMs = 60_000;

async function pullImage(
  { engine, progress }: Options,
  image: ImageDescription,
): Promise<SandboxImage | undefined> {
  progress(`asking the engine to pull ${image.reference}`);
  const [name = '', tag = 'latest'] = image.reference.split(':');
  const query = new URLSearchParams({ fromImage: name, tag }).toString();
  try {
    await consume(
      parseHost(engine.host),
      { method: 'POST', path: `/images/create?${query}` },
      firstAnswerMs,
    );
  } catch (cause) {
    progress(`${image.reference} cannot be pulled: ${oneLine(cause)}`);
    return undefined;
  }
  return inspect(engine, image, image.reference);
}

async function buildImageLocked(
  { engine, cacheDir, progress }: Options,
  image: ImageDescription,
): Promise<SandboxImage> {
  const cpu = await engineCpu(engine, image);
  const layerFile = path.join(cacheDir, `layer-${randomUUID()}.tar`);
  mkdirSync(cacheDir, { recursive: true });
  try {
    const assembled = await assembleImage(image, cpu, cacheDir, progress);
    const { name: user } = image.user;
    const archive = await makeArchive(assembled, { cpu, user, tag: image.fallback, layerFile });
    progress('loading the sandbox image into the engine');
    await loadArchive(engine, archive.stream());
    const loaded = await inspect(engine, image, image.fallback);
    if (loaded === undefined || loaded.id !== archive.id) throw loadedAnother();
    return loaded;
  } finally {
    rmSync(layerFile, { force: true });
  }
}

// The image is for the engine's machine, which need not be this one; the packages are this one's.
async function engineCpu(engine: EngineAddress, image: ImageDescription): Promise<'x64' | 'arm64'> {
  const answer = await askJson(parseHost(engine.host), { path: '/info', timeoutMs: 10_000 });
  const { Architecture } = z.object({ Architecture: z.string() }).parse(answer);
  const known: Record<string, 'x64' | 'arm64'> = {
    x86_64: 'x64',
    amd64: 'x64',
    aarch64: 'arm64',
    arm64: 'arm64',
  };
  const cpu = Object.hasOwn(known, Architecture) ? known[Architecture] : undefined;
  if (cpu === undefined || !image.cpu.includes(cpu) || cpu !== process.arch) {
    throw new OrchestraError(
      'image.unknown',
      `The image cannot be assembled here for ${Architecture}`,
      {
        hint: `pull ${image.reference} into that engine by hand`,
      },
    );
  }
  return cpu;
}

/** Reads an engine's stream of JSON lines to its end; its error line becomes an error. */
async function consume(
  endpoint: Endpoint,
  question: { method: 'POST'; path: string; body?: Readable; headers?: Record<string, string> },
  headMs: number,
): Promise<void> {
  const answer = await ask(endpoint, { ...question, timeoutMs: headMs });
  let problem: string | undefined;
  answer.setTimeout(silenceMs, () => {
    answer.destroy(new Error(`silent for ${silenceMs / 1000} s`));
  });
  for await (const line of createInterface({ input: answer, crlfDelay: Infinity })) {
    problem ??= errorOf(line);
  }
  if (!answer.complete) throw new Error('the engine broke the connection');
  const status = answer.statusCode ?? 0;
  if (problem !== undefined) throw new Error(problem);
  if (status < 200 || status > 299) throw new Error(`the engine answered ${status}`);
}

function errorOf(line: string): string | undefined {
  try {
    const parsed = z
      .union([z.object({ error: z.string() }), z.object({ message: z.string() })])
      .safeParse(JSON.parse(line));
    if (!parsed.success) return undefined;
    return 'error' in parsed.data ? parsed.data.error : parsed.data.message;
  } catch {
    return undefined;
  }
}

// An engine says what it did, on what, in which order; the reason is at the end.
function oneLine(cause: unknown): string {
  const text = (cause instanceof Error ? cause.message : String(cause)).replace(/\s+/g, ' ');
  return (text.split(': ').at(-1) ?? text).slice(0, 200);
}
