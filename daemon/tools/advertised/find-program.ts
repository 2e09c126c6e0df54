import type { AdvertisedTool } from '#contract/tools.ts';

/**
 * The program of the image that a command starts, as the sandbox finds it: by its name in PATH, or by
 * the very path. Undefined for what is not the image's: a file of the workspace, say.
 */
export function findProgram(
  [program = '']: readonly string[],
  advertised: readonly AdvertisedTool[],
): AdvertisedTool | undefined {
  const key = program.includes('/') ? 'path' : 'name';
  return advertised.find((tool) => tool[key] === program);
}
