import { OrchestraError } from '#contract/errors.ts';
import { show } from './lockfile.ts';
import { registryBase } from './registry.ts';

const linesMax = 1000;

/**
 * The registries that a project's own `.npmrc` asks for: `registry` and `@scope:registry`, nothing
 * else. The file is as untrusted as the project, so it gets no variables of the daemon expanded and
 * gives no credentials; whether a host may be asked is the policy's word.
 */
export function readProjectRegistries(npmrc: string): Record<string, string> {
  const found: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const line of npmrc.split('\n', linesMax)) {
    const [, key, quoted] = /^\s*((?:@[a-z0-9._~-]+:)?registry)\s*=\s*(\S.*?)\s*$/.exec(line) ?? [];
    if (key === undefined || quoted === undefined) continue;
    const value = quoted.replace(/^(["'])(.*)\1$/, '$2');
    if (value.includes('${')) {
      throw new OrchestraError(
        'package.unsupported',
        `The project’s .npmrc takes ${show(key)} from an environment variable`,
        { hint: 'Write the address, or configure npm on this machine' },
      );
    }
    found[key] = registryBase(value);
  }
  return { ...found };
}
