/**
 * What a condition can look at: one table. The type below, the declarations for CEL, the table in
 * docs/POLICY.md and the words of the editor's schema are made from it.
 */
export const inputTable = {
  actor: {
    doc: 'who submitted the run',
    fields: {
      uid: ['int', 'user id, by the kernel; -1 where nobody knows it'],
      user: ['string', 'name of that user; "" where it has none'],
      groups: ['strings', 'names of its groups', 1024],
      roles: ['strings', 'of viewer, runner, approver, auditor, admin', 8],
      auth: ['string', 'the proof of who it is, as records have it: peer, owner, token …'],
    },
  },
  run: {
    doc: 'the run that the task belongs to',
    fields: {
      id: ['string', '"" before it has one'],
      intent: ['string', 'what was asked for; "" where its words are not kept'],
      planner: ['string', 'rules, file, exec, or the name of a model'],
      plan: ['string', 'digest of the plan'],
      policy: ['string', 'name of the policy that was asked for'],
      workspace: {
        doc: 'its snapshot',
        fields: {
          name: ['string', 'last part of the path; "" where it is not known'],
          files: ['int', 'files in it'],
          bytes: ['int', 'bytes in it'],
        },
      },
      tasks: ['int', 'tasks of the plan'],
      concurrency: ['int', 'how many of them may run at once'],
      continues: ['string', 'id of the run that it goes on from; "" for none'],
    },
  },
  task: {
    doc: 'the task, as it stands in the plan',
    fields: {
      id: ['string', 'its id'],
      tool: ['string', 'npm, npx, node, sh, exec …'],
      args: ['strings', 'its arguments', 64],
      env: ['map', 'the variables that the plan sets', 64],
      secrets: ['strings', 'names of secrets', 32],
      limits: {
        doc: 'what it may use; not in conditions of profiles',
        fields: {
          cpu_milli: ['int', 'thousandths of a processor'],
          memory_bytes: ['int', 'memory'],
          pids: ['int', 'processes and threads'],
          open_files: ['int', 'open files'],
          file_size_bytes: ['int', 'the largest file'],
          disk_bytes: ['int', 'what it adds to its layer'],
          disk_files: ['int', 'how many files of it'],
          tmp_bytes: ['int', '/tmp'],
          output_bytes: ['int', 'stdout and stderr'],
          timeout_ms: ['int', 'its time'],
          idle_ms: ['int', 'time without a word'],
        },
      },
      side_effects: ['bool', 'it says that it changes something besides its layer'],
      needs: ['strings', 'ids of the tasks before it', 256],
      provisions: ['strings', 'what the daemon fetches for it: npm', 8],
      cwd: ['string', 'its directory in the workspace'],
    },
  },
  spec: {
    doc: 'the exact sandbox; at submission the one to be expected; not in conditions of profiles',
    fields: {
      profile: ['string', 'name of the profile in the document that the condition stands in'],
      image: {
        doc: 'what it starts from',
        fields: {
          reference: ['string', 'such as node:20-alpine'],
          digest: ['string', 'sha256:…'],
          origin: ['string', 'pulled or assembled'],
        },
      },
      runtime: ['string', 'runc, crun, runsc …'],
      uid: ['int', 'user in the sandbox'],
      gid: ['int', 'group in the sandbox'],
      command: ['strings', 'the argv that runs', 96],
      mounts: {
        doc: 'everything that is mounted',
        max: 16,
        list: {
          kind: ['string', 'overlay, volume, bind or tmpfs'],
          target: ['string', 'where it is seen'],
          readonly: ['bool', 'nothing can be written there'],
        },
      },
      seccomp: ['string', 'digest of the filter, or builtin'],
      apparmor: ['string', 'name of the profile, or ""'],
      selinux: ['string', 'type of the label, or ""'],
    },
  },
  history: {
    doc: 'what was before; not in conditions of profiles',
    fields: {
      runs_today: ['int', 'runs of this user in the last 24 hours, without this one'],
      task: {
        doc: 'tasks of the same name and tool',
        fields: {
          succeeded: ['int', 'how often they succeeded'],
          failed: ['int', 'how often they failed by themselves'],
          seconds_p50: ['int', 'whole seconds that they usually take; 0 where nobody knows'],
        },
      },
      approved_before: ['bool', 'the same was approved in an earlier run'],
      tool_allowed: ['bool', 'the program is on the list of its user'],
    },
  },
} as const satisfies Readonly<Record<string, InputObject>>;

/** Of a text in the input; whoever makes an input cuts what may be longer. */
export const textMax = 8192;

export type InputType = 'int' | 'bool' | 'string' | 'strings' | 'map';
/** `max` is how many of them there can be: what a condition costs is told from it. */
export type InputField = readonly [type: InputType, doc: string, max?: number];
export type InputObject = { doc: string; fields: Readonly<Record<string, InputNode>> };
export type InputList = { doc: string; max: number; list: Readonly<Record<string, InputField>> };
export type InputNode = InputField | InputObject | InputList;

export type InputTyped<T> = T extends readonly ['int', string]
  ? number
  : T extends readonly ['bool', string]
    ? boolean
    : T extends readonly ['string', string]
      ? string
      : T extends readonly ['strings', string, number]
        ? readonly string[]
        : T extends readonly ['map', string, number]
          ? Readonly<Record<string, string>>
          : T extends { list: infer L }
            ? readonly { readonly [K in keyof L]: InputTyped<L[K]> }[]
            : T extends { fields: infer F }
              ? { readonly [K in keyof F]: InputTyped<F[K]> }
              : never;

/** Plain data that canonical JSON can hold. Every field is always there. */
export type PolicyInput = {
  readonly [K in keyof typeof inputTable]: InputTyped<(typeof inputTable)[K]>;
};

/** One line for everything that a condition can look at. */
export function inputLines(): { name: string; type: string; doc: string }[] {
  return Object.entries(inputTable).flatMap(([name, node]) => linesOf(name, node));
}

const typeWords: Readonly<Record<InputType, string>> = {
  int: 'int',
  bool: 'bool',
  string: 'string',
  strings: 'list of string',
  map: 'map of string',
};

function linesOf(name: string, node: InputNode): { name: string; type: string; doc: string }[] {
  if ('fields' in node) {
    return Object.entries(node.fields).flatMap(([key, each]) => linesOf(`${name}.${key}`, each));
  }
  if ('list' in node) {
    const inner = Object.entries(node.list).flatMap(([key, each]) =>
      linesOf(`${name}[].${key}`, each),
    );
    return [{ name, type: 'list', doc: node.doc }, ...inner];
  }
  const [type, doc] = node;
  return [{ name, type: typeWords[type], doc }];
}
