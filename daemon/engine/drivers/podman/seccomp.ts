import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { SandboxSpec } from '../../../policy/spec.ts';
import { parseJson } from './api.ts';
import type { OciConfig } from './oci.ts';

type Filter = OciConfig['linux']['seccomp'];

/**
 * The profile that the runtime was given, by our name for it. Podman reads a profile in Docker's
 * words and hands it on in those of the OCI, so a profile of ours is known again by its rules.
 */
export function seccompOf(filter: Filter, asked: SandboxSpec['seccomp']): string {
  if (filter === null || filter === undefined) return 'unconfined';
  if (asked.profile === 'builtin') return 'Podman’s own profile';
  const profile = Profile.safeParse(parseJson(asked.json));
  return profile.success && isSame(filter, profile.data)
    ? asked.digest
    : 'not the profile asked for';
}

const Profile = z.object({
  defaultAction: z.string(),
  archMap: z.array(z.object({ architecture: z.string(), subArchitectures: z.array(z.string()) })),
  // A rule that depends on capabilities or the kernel's version cannot be known again.
  syscalls: z.array(
    z.strictObject({
      comment: z.string().optional(),
      names: z.array(z.string()),
      action: z.string(),
      errnoRet: z.number().optional(),
      args: z.array(z.unknown()).default([]),
    }),
  ),
});

function isSame(filter: NonNullable<Filter>, profile: z.infer<typeof Profile>): boolean {
  const ours = profile.archMap.map(({ architecture, subArchitectures }) =>
    [architecture, ...subArchitectures].toSorted(),
  );
  return (
    filter.defaultAction === profile.defaultAction &&
    // Another one would be let in with rules whose numbers mean other calls there.
    ours.some((words) => isDeepStrictEqual(words, filter.architectures.toSorted())) &&
    isDeepStrictEqual(filter.syscalls.map(ruleOf), profile.syscalls.map(ruleOf))
  );
}

type Rule = {
  names: readonly string[];
  action: string;
  errnoRet?: number | undefined;
  args: readonly unknown[];
};

const ruleOf = ({ names, action, errnoRet, args }: Rule) => [
  names,
  action,
  errnoRet ?? 0,
  // A second value of zero is left out by whoever writes the OCI's words.
  args.map((arg) => ({ valueTwo: 0, ...(arg as object) })),
];
