import { cargo } from './cargo.ts';
import { cmake } from './cmake.ts';
import { go } from './go.ts';
import { gradle, maven } from './jvm.ts';
import { make } from './make.ts';
import { npm } from './npm.ts';
import { python } from './python.ts';
import type { EcosystemRule } from './rule.ts';

/** Asked in this order. make comes last: where there is a package manager, it calls that one. */
export const ecosystemRules: readonly EcosystemRule[] = [
  npm,
  cargo,
  go,
  python,
  gradle,
  maven,
  cmake,
  make,
];
