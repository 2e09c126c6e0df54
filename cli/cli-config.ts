import { homedir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { parseDuration } from '#contract/units.ts';
import { readTextFile } from './read-text.ts';
import type { Env } from './terminal/streams.ts';
import { parseYaml } from './yaml-document.ts';

/**
 * Defaults for flags of run, plan and exec. Paths are meant from the file's own folder. There is
 * no key for the daemon's address: a file that came with a repository must not choose it.
 */
export const CliConfig = z.strictObject({
  /** The format of this file. */
  version: z.literal(1).optional(),
  /** As --workspace. */
  workspace: z.string().min(1).optional(),
  /** As --plan. */
  plan: z.string().min(1).optional(),
  /** As --policy: a name or a file. */
  policy: z.string().min(1).optional(),
  /** As --concurrency. */
  concurrency: z.number().int().min(1).max(1024).optional(),
  /** As --timeout. */
  timeout: z
    .string()
    .refine((text) => parseDuration(text) !== undefined, 'not a duration, write 90s, 10m or 1h30m')
    .optional(),
  /** As --output. */
  output: z.enum(['tree', 'plain', 'json', 'quiet']).optional(),
  /** As --report-dir. */
  report_dir: z.string().min(1).optional(),
});
export type CliConfig = z.infer<typeof CliConfig>;

export type ReadConfig = {
  values: CliConfig;
  /** Which file said it. */
  origins: Partial<Record<keyof CliConfig, string>>;
  /** The folder from which a path is meant. */
  dirs: Partial<Record<keyof CliConfig, string>>;
};

/** The user's own file, then, over it, the file that was named. */
export async function readCliConfig(
  cwd: string,
  env: Env,
  named: string | undefined,
): Promise<ReadConfig> {
  const read: ReadConfig = { values: {}, origins: {}, dirs: {} };
  const own = userConfigFile(env);
  for (const [file, must] of [
    [own, false],
    [named === undefined ? undefined : path.resolve(cwd, named), true],
  ] as const) {
    if (file === undefined) continue;
    const text = await readIfThere(file, must);
    if (text === undefined) continue;
    const shown = must ? (named ?? file) : file;
    const values = parseYaml(text, { file: shown, schema: CliConfig, code: 'config.invalid' });
    for (const key of Object.keys(values) as (keyof CliConfig)[]) {
      read.origins[key] = file;
      read.dirs[key] = path.dirname(file);
    }
    Object.assign(read.values, values);
  }
  return read;
}

function userConfigFile(env: Env): string {
  const base = env['XDG_CONFIG_HOME'];
  const dir =
    base !== undefined && path.isAbsolute(base)
      ? base
      : path.join(env['HOME'] ?? homedir(), '.config');
  return path.join(dir, 'orchestra/cli.yaml');
}

const bytesMax = 256 * 1024;

async function readIfThere(file: string, must: boolean): Promise<string | undefined> {
  try {
    return await readTextFile(file, { bytesMax, code: 'config.invalid' });
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    if (!must && (cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new OrchestraError('config.invalid', `The configuration ${file} cannot be read`, {
      hint: 'check the path that -c names',
      cause,
    });
  }
}
