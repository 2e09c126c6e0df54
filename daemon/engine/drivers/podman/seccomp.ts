import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { SandboxSpec } from '../../../policy/spec.ts';
import { seccompName } from '../../asked.ts';
import { parseJson } from './api.ts';
import type { OciConfig } from './oci.ts';
import { isTight } from './profile.ts';

type Filter = OciConfig['linux']['seccomp'];

/**
 * The profile that the runtime was given, by our name for it. Podman reads a profile and hands on
 * what it made of it, so a profile of ours is known again by its rules.
 */
export function seccompOf(filter: Filter, asked: SandboxSpec['seccomp']): string {
  if (filter === null || filter === undefined) return 'unconfined';
  const isDenying = /^SCMP_ACT_(?:ERRNO|KILL.*|TRAP)$/.test(filter.defaultAction);
  if (!isDenying || filter.syscalls.length === 0) return `default ${filter.defaultAction}`;
  if (asked.profile === 'builtin') return isTight(filter.syscalls) ? 'builtin' : 'too wide';
  return isDeepStrictEqual(rulesOf(filter), rulesFrom(asked.json))
    ? seccompName(asked.json)
    : 'not the profile asked for';
}

const Profile = z.object({
  defaultAction: z.string(),
  // A rule that depends on capabilities or the kernel's version cannot be known again.
  syscalls: z.array(
    z.strictObject({
      names: z.array(z.string()),
      action: z.string(),
      args: z
        .array(z.unknown())
        .nullish()
        .transform((args) => args ?? []),
    }),
  ),
});

function rulesFrom(json: string): unknown {
  const profile = Profile.safeParse(parseJson(json));
  return profile.success ? rulesOf(profile.data) : undefined;
}

type Rules = {
  defaultAction: string;
  syscalls: readonly { names: readonly string[]; action: string; args: readonly unknown[] }[];
};

function rulesOf({ defaultAction, syscalls }: Rules): unknown {
  return [defaultAction, syscalls.map(({ names, action, args }) => [names, action, args])];
}
