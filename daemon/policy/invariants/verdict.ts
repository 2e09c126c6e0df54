import type { InputNode, InputTyped } from '../input.ts';

/**
 * What an invariant can look at beyond the input of a task: what all documents together come to. One
 * table, as `inputTable` is.
 */
export const verdictTable = {
  effect: ['string', 'allow, deny or ask: what all documents together come to'],
  ask: {
    doc: 'what has to happen first where the effect is ask',
    fields: {
      approvals: ['int', 'how many people have to approve; 0 where nobody has to'],
      from: ['strings', 'everybody who is named in any list of those who may', 2048],
      self: ['bool', 'whether who submitted the run may be one of them'],
      expires_ms: ['int', 'how long there is for it'],
    },
  },
  profile: {
    doc: 'the lists that the task gets, cut down by every document',
    fields: {
      name: ['string', 'name of the profile in the document that was asked for'],
      document: ['string', 'name of that document'],
      images: ['strings', 'references of images', 2048],
      unpinned: ['strings', 'those of them that no digest in a document is demanded of', 2048],
      tools: ['strings', 'names of tools', 4096],
      env: ['strings', 'NAME, NAME_* or *', 4096],
      secrets: ['strings', 'names of secrets', 4096],
      registries: ['strings', 'where packages come from: the only network there is', 4096],
      mounts: ['strings', 'of packages and secrets', 8],
      runtimes: ['strings', 'names of OCI runtimes', 1024],
      seccomp: ['string', 'required or preferred'],
      apparmor: ['string', 'required, preferred or off'],
      selinux: ['string', 'required, preferred or off'],
      userns: ['string', 'required, preferred or off'],
      cpu_milli: ['int', 'the most that a task may ask for: thousandths of a processor'],
      memory_bytes: ['int', 'and memory'],
      disk_bytes: ['int', 'and disk'],
      timeout_ms: ['int', 'and time'],
    },
  },
} as const satisfies Readonly<Record<string, InputNode>>;

export type Verdict = {
  readonly [K in keyof typeof verdictTable]: InputTyped<(typeof verdictTable)[K]>;
};
