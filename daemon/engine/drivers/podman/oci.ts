import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';

// Written out as far as it is judged. What is not named here and gives power is caught by
// `powersOf` in `effective.ts`, which looks at the names of the keys.

const text = z.string();
const texts = z.array(text);
const list = <T extends z.ZodType>(of: T) =>
  z
    .array(of)
    .nullish()
    .transform((value) => value ?? []);

/** What Podman says about a container: the part that is not in the runtime's configuration. */
export const Inspected = z.looseObject({
  Id: text,
  Name: text,
  Image: text,
  Pod: text.optional(),
  OCIRuntime: text,
  OCIConfigPath: text,
  State: z.looseObject({ Status: text, Pid: z.int() }),
  Dependencies: list(text),
  Config: z.looseObject({
    Labels: z
      .record(text, text)
      .nullish()
      .transform((value) => value ?? {}),
    OpenStdin: z.boolean(),
    Tty: z.boolean(),
    Healthcheck: z.looseObject({ Test: list(text) }).nullish(),
    Secrets: list(z.unknown()),
  }),
  HostConfig: z.looseObject({
    NetworkMode: text,
    Privileged: z.boolean(),
    CapAdd: list(text),
    ShmSize: z.number(),
    AutoRemove: z.boolean(),
    RestartPolicy: z.looseObject({ Name: text }),
    LogConfig: z.looseObject({ Type: text }),
    PortBindings: z.record(text, z.unknown()).nullish(),
    VolumesFrom: list(text),
  }),
});
export type Inspected = z.infer<typeof Inspected>;

const rule = z.looseObject({
  names: texts,
  action: text,
  errnoRet: z.number().optional(),
  args: list(z.unknown()),
});

const OciMount = z.looseObject({
  destination: text,
  type: text.default('bind'),
  source: text.default(''),
  options: list(text),
});
export type OciMount = z.infer<typeof OciMount>;

/** The runtime's configuration of one container (OCI runtime specification 1.0). */
export const OciConfig = z.looseObject({
  hostname: text.optional(),
  process: z.looseObject({
    args: texts,
    env: list(text),
    cwd: text,
    terminal: z.boolean().default(false),
    user: z.looseObject({ uid: z.int(), gid: z.int(), additionalGids: list(z.int()) }),
    // Left out, a runtime may keep its own: only lists that are there and empty take all away.
    capabilities: z.record(text, texts.nullable()).optional(),
    rlimits: list(z.object({ type: text, soft: z.number(), hard: z.number() })),
    noNewPrivileges: z.boolean().default(false),
    apparmorProfile: text.optional(),
    selinuxLabel: text.optional(),
    oomScoreAdj: z.number().nullish(),
  }),
  root: z.looseObject({ path: text, readonly: z.boolean().default(false) }),
  mounts: list(OciMount),
  hooks: z.record(text, z.unknown()).nullish(),
  linux: z.looseObject({
    namespaces: z.array(z.object({ type: text, path: text.optional() })),
    sysctl: z.record(text, text).nullish(),
    devices: list(z.unknown()),
    maskedPaths: list(text),
    readonlyPaths: list(text),
    resources: z.looseObject({
      devices: list(z.unknown()),
      memory: z
        .looseObject({ limit: z.number().optional(), swap: z.number().optional() })
        .nullish(),
      cpu: z.looseObject({ quota: z.number().optional(), period: z.number().optional() }).nullish(),
      pids: z.looseObject({ limit: z.number() }).nullish(),
    }),
    seccomp: z
      .looseObject({ defaultAction: text, architectures: list(text), syscalls: list(rule) })
      .nullish(),
  }),
});
export type OciConfig = z.infer<typeof OciConfig>;

/** Reads an answer of Podman; one in words that are not known is refused, never guessed at. */
export function known<T extends z.ZodType>(schema: T, answer: unknown): z.infer<T> {
  const read = schema.safeParse(answer);
  if (read.success) return read.data;
  throw new OrchestraError('engine.failed', 'Podman answered in words that are not known', {
    hint: 'Podman 4.3 is known to work',
    cause: read.error,
  });
}
