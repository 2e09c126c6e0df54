import { command } from './command.ts';
import { confinement } from './confinement.ts';
import { environment } from './environment.ts';
import { identity } from './identity.ts';
import { image } from './image.ts';
import { limits } from './limits.ts';
import { mounts } from './mounts.ts';
import type { Rule } from './rule.ts';
import { runtime } from './runtime.ts';
import { secrets } from './secrets.ts';

/** Every rule is asked, none knows of another; the order is that of the reasons in the log. */
export const rules = {
  image,
  command,
  limits,
  environment,
  identity,
  mounts,
  secrets,
  runtime,
  confinement,
} as const satisfies Readonly<Record<string, Rule>>;

export type RuleName = keyof typeof rules;
