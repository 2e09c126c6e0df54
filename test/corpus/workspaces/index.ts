import { monorepoKinds } from './monorepos.ts';
import { nodeKinds } from './node.ts';
import { oddKinds } from './odd.ts';
import { otherKinds } from './others.ts';
import type { Kind } from './kind.ts';

export const kinds: readonly Kind[] = [...nodeKinds, ...monorepoKinds, ...otherKinds, ...oddKinds];
