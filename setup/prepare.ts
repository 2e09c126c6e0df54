import type { FoundEngine } from './engine/find.ts';
import { ensureEngine } from './engine/ensure.ts';
import { ensureImage, type SandboxImage } from './image/images.ts';
import { defaultPaths } from './paths.ts';
import type { Progress } from './progress.ts';
import { sayProgress, saying } from './say.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** An engine and the sandbox image in it. Quick and without any network when both are there. */
export async function prepare(
  env: Env,
  progress: Progress,
): Promise<{ engine: FoundEngine; image: SandboxImage }> {
  const engine = await ensureEngine({ env, progress });
  const { cacheDir } = defaultPaths(env, process.getuid?.() ?? -1);
  const image = await ensureImage({ engine, cacheDir, progress });
  return { engine, image };
}

if (import.meta.main) {
  process.exitCode = await saying(async () => {
    const { engine, image } = await prepare(process.env, sayProgress);
    if (process.argv.includes('--quiet')) return 0;
    process.stdout.write(
      `engine  ${engine.kind} ${engine.version} at ${engine.host} (${engine.origin})\n` +
        `image   ${image.tag} (${image.origin}, ${image.libc}) ${image.id}\n`,
    );
    return 0;
  });
}
