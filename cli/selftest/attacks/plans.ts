import { totalmem } from 'node:os';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { type FreeAttack, down, held, type Verdict, verdict } from '../attack.ts';
import type { Field } from '../field.ts';

const task = (rest: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ version: 1, tasks: [{ id: 'a', tool: 'sh', args: ['-c', 'true'], ...rest }] });

/** A plan is only made, never run: what comes back is either an error of the table or a plan. */
async function refusalOf(field: Field, text: string): Promise<string> {
  const { digest } = await emptySnapshot(field);
  const body = { intent: 'selftest', snapshot: digest, plan: { text, file: 'plan.yaml' } };
  const { status, code } = await field.ask({
    method: 'POST',
    path: '/v1/plans',
    body: JSON.stringify(body),
  });
  return status < 400 ? 'ACCEPTED' : `${status} ${code}`;
}

async function emptySnapshot(field: Field): Promise<{ digest: string }> {
  return field.snapshot(await field.folder('empty'));
}

/** Every text is refused as a plan; an answer of 500 is a wall that is down as well. */
async function allInvalid(field: Field, texts: Readonly<Record<string, string>>): Promise<Verdict> {
  // A plan that is in order is accepted: so a refusal below is about what is in the plan.
  const control = await refusalOf(field, task({}));
  if (control !== 'ACCEPTED') return down(`a harmless plan was refused with ${control}`);
  const answers: string[] = [];
  let isHeld = true;
  for (const [name, text] of Object.entries(texts)) {
    const answer = await refusalOf(field, text);
    answers.push(`${name} → ${answer}`);
    isHeld &&= /^(?:4\d\d) (?:plan|policy|request|secret|lockfile)\./.test(answer);
  }
  return verdict(isHeld && (await field.isReady()), answers.join(', '));
}

const refusedPlans = 'Each is refused with a 4xx answer of the error table; a harmless one is not.';

const plan = (
  id: string,
  title: string,
  attack: string,
  texts: (field: Field) => Readonly<Record<string, string>>,
): FreeAttack => ({
  id: `daemon.${id}`,
  title,
  attack,
  expects: refusedPlans,
  play: async (field) => allInvalid(field, texts(field)),
});

const power = [
  'image',
  'mounts',
  'volumes',
  'privileged',
  'user',
  'network',
  'capabilities',
  'devices',
  'security_opt',
  'pid',
  'runtime',
  'sysctls',
];

export const planAttacks: readonly FreeAttack[] = [
  plan('plan-power', 'A plan that asks for power', `The words ${power.join(', ')} in a task.`, () =>
    Object.fromEntries(
      power.map((word) => [word, task({ [word]: word === 'user' ? 'root' : true })]),
    ),
  ),
  plan(
    'plan-environment',
    'A plan that decides which code runs first',
    'LD_PRELOAD, NODE_OPTIONS, PATH, npm and git settings as variables; a NUL and odd names.',
    () =>
      Object.fromEntries(
        [
          ['LD_PRELOAD', './x.so'],
          ['NODE_OPTIONS', '--require=./x.js'],
          ['PATH', '/workspace'],
          ['npm_config_registry', 'http://192.0.2.1/'],
          ['GIT_SSH_COMMAND', 'sh'],
          ['BASH_ENV', './x'],
          ['DOCKER_HOST', 'unix:///run/docker.sock'],
          ['A=B', 'x'],
          ['__proto__', 'x'],
          ['NUL', 'a\0b'],
        ].map(([name = '', value = '']) => [
          name,
          `{"version":1,"tasks":[{"id":"a","tool":"sh","args":["-c","true"],"env":{${JSON.stringify(name)}:${JSON.stringify(value)}}}]}`,
        ]),
      ),
  ),
  plan(
    'plan-paths',
    'A plan that leads out of the workspace',
    'Working directories and outputs that are absolute, climb, or hold a NUL.',
    () => ({
      'climbing cwd': task({ cwd: '../..' }),
      'absolute cwd': task({ cwd: '/etc' }),
      'hidden climb': task({ cwd: 'a/../../b' }),
      backslash: task({ cwd: '..\\..' }),
      'NUL in cwd': task({ cwd: 'a\0b' }),
      'climbing output': task({ outputs: [{ name: 'o', path: 'a/../../o' }] }),
      'absolute output': task({ outputs: [{ name: 'o', path: '/etc/shadow' }] }),
      'a name that is a path': task({ outputs: [{ name: '../o', path: 'o' }] }),
      'NUL in an argument': task({ args: ['-c', 'a\0b'] }),
    }),
  ),
  plan(
    'plan-graph',
    'A plan without an order',
    'Cycles, a task that waits for itself, ids given twice, ids that are paths.',
    () => ({
      cycle:
        '{"version":1,"tasks":[{"id":"a","tool":"sh","args":["x"],"deps":["b"]},{"id":"b","tool":"sh","args":["x"],"deps":["a"]}]}',
      self: task({ deps: ['a'] }),
      ghost: task({ deps: ['ghost'] }),
      twice:
        '{"version":1,"tasks":[{"id":"a","tool":"sh","args":["x"]},{"id":"a","tool":"sh","args":["x"]}]}',
      path: task({ id: '../a' }),
      'line end': task({ id: 'a\nb' }),
    }),
  ),
  plan(
    'plan-size',
    'A plan without end',
    'A million tasks, nesting 100,000 deep, growing aliases, a document of 2 MiB.',
    () => ({
      'many tasks': `{"version":1,"tasks":[${Array.from({ length: 60_000 }, (_, i) => `{"id":"t${i}","tool":"sh"}`).join(',')}]}`,
      'deep lists': `version: 1\ntasks: ${'['.repeat(100_000)}`,
      'deep maps': '{a: '.repeat(50_000),
      'growing aliases': aliases(),
      'a long argument': task({ args: ['-c', 'x'.repeat(200_000)] }),
    }),
  ),
  plan(
    'plan-words',
    'A plan that means something to a language',
    'The key __proto__, keys given twice, tags of YAML, several documents, no text at all.',
    () => ({
      'the key __proto__':
        '{"__proto__":{"polluted":true},"version":1,"tasks":[{"id":"a","tool":"sh","args":["x"]}]}',
      constructor:
        '{"constructor":{"prototype":{}},"version":1,"tasks":[{"id":"a","tool":"sh","args":["x"]}]}',
      'a key given twice': 'version: 1\nversion: 1\ntasks:\n  - { id: a, tool: sh, args: [x] }\n',
      'a tag': 'version: 1\ntasks: !!js/function "function () {}"\n',
      'two documents': 'version: 1\n---\nversion: 1\n',
      'no plan': '',
      'a number': '1',
    }),
  ),
  plan(
    'plan-tools',
    'A plan with other tools',
    'Tools that do not exist, paths as tools, npm that leaves the lockfile or the project.',
    () => ({
      docker: task({ tool: 'docker' }),
      'a path': task({ tool: '/bin/sh' }),
      climbing: task({ tool: '../sh' }),
      'npm publish': task({ tool: 'npm', args: ['publish'] }),
      'npm install of a name': task({ tool: 'npm', args: ['install', 'evil'] }),
      'another registry': task({ tool: 'npm', args: ['ci', '--registry=http://192.0.2.1/'] }),
      'another prefix': task({ tool: 'npm', args: ['run', 'x', '--prefix', '/'] }),
      'npx that fetches': task({ tool: 'npx', args: ['--package=evil', 'evil'] }),
      'a debugger': task({ tool: 'node', args: ['--inspect=0.0.0.0', 'x.js'] }),
    }),
  ),
  plan(
    'plan-secret',
    'A plan that names a secret it was not granted',
    'Names of secrets that the policy does not grant, and paths as names.',
    () => ({
      'not granted': task({ secrets: ['ORCHESTRA_SELFTEST'] }),
      'a path': task({ secrets: ['../../etc/shadow'] }),
      'a value': task({ secret: { name: 'X', value: 'y' } }),
    }),
  ),
  {
    id: 'daemon.plan-limits',
    title: 'A plan that asks for more than this machine has',
    attack:
      'A task with the highest limits that can be written: 1,000 processors, 64 TiB, a million processes, a day.',
    expects:
      'Every limit is lowered to the policy, and the policy is within reason for this machine.',
    play: async (field) => {
      const { digest } = await emptySnapshot(field);
      const text = task({
        limits: {
          cpus: 1000,
          memory: '64TiB',
          pids: 1_000_000,
          open_files: 1_000_000,
          file_size: '64TiB',
          tmp: '64TiB',
          output: '64TiB',
          timeout: '24h',
        },
      });
      const made = await field.client.call('planMake', {
        body: {
          intent: 'selftest',
          snapshot: digest,
          plan: { text, file: 'plan.yaml' },
        },
      });
      const [only] = Made.parse(made.plan).tasks;
      const limits = only?.limits ?? {};
      const reasonable: Readonly<Record<string, number>> = {
        memoryBytes: totalmem(),
        tmpBytes: totalmem(),
        pids: 32_768,
        openFiles: 524_288,
        cpuMilli: 512_000,
        outputBytes: 4 * 1024 ** 3,
        timeoutMs: 12 * 3_600_000,
      };
      const above = Object.entries(reasonable).filter(
        ([name, max]) => !((limits[name] ?? Infinity) <= max),
      );
      const said = `${made.clamped.length} limits were lowered`;
      return above.length === 0 && made.clamped.length > 0
        ? held(said)
        : down(
            `${said}; left: ${above.map(([name]) => `${name} ${limits[name] ?? 'not set'}`).join(', ')}`,
          );
    },
  },
  {
    id: 'daemon.policy-ceiling',
    title: 'A policy that asks for more than the ceiling',
    attack: 'A policy document with other images, all limits raised, any runtime, any registry.',
    expects: 'It is narrowed to the ceiling or refused; never wider than the ceiling.',
    play: async (field) => {
      const { effective } = await field.client.call('policyShow', {
        params: { name: await ceiling(field) },
      });
      const top = Narrowed.parse(effective);
      const { digest } = await emptySnapshot(field);
      const document = field.policyDocument;
      const wide = {
        ...document,
        name: 'selftest',
        limits: {
          ...(document['limits'] as object),
          memory: '64TiB',
          pids: 1_000_000,
          cpus: 1000,
          timeout: '24h',
        },
        tools: [...(document['tools'] as string[]), 'make', 'go', 'python'],
        provision: {
          ...(document['provision'] as object),
          registries: ['configured', 'registry.invalid'],
        },
        isolation: {
          ...(document['isolation'] as object),
          seccomp: 'preferred',
          apparmor: 'off',
          runtimes: ['runc', 'crun', 'runsc', 'nsjail'],
        },
      };
      const body = (text: string, tool: string) => ({
        intent: 'selftest',
        snapshot: digest,
        plan: {
          text: task({ tool, args: ['x.js'], limits: { memory: '64TiB', pids: 1_000_000 } }),
          file: 'plan.yaml',
        },
        policy: { text, file: 'policy.yaml' },
      });
      const said: string[] = [];
      let isHeld = true;
      try {
        const made = await field.client.call('planMake', {
          body: body(JSON.stringify(wide), 'node'),
        });
        const [only] = Made.parse(made.plan).tasks;
        const memory = only?.limits['memoryBytes'] ?? Infinity;
        const pids = only?.limits['pids'] ?? Infinity;
        isHeld &&= memory <= top.limits.memoryBytes && pids <= top.limits.pids;
        said.push(`memory ${memory}, processes ${pids}`);
      } catch (error) {
        said.push(codeOf(error));
      }
      for (const tool of ['make', 'go']) {
        if (top.tools.includes(tool)) continue;
        const answer = await field.client
          .call('planMake', { body: body(JSON.stringify(wide), tool) })
          .then(() => 'ACCEPTED', codeOf);
        said.push(`${tool} → ${answer}`);
        isHeld &&= answer !== 'ACCEPTED';
      }
      const image = { reference: 'evil:latest', digest: 'pinned', origins: ['pulled'] };
      const other = JSON.stringify({ ...wide, images: [image] });
      const answer = await field.client
        .call('planMake', { body: body(other, 'node') })
        .then(() => 'ACCEPTED', codeOf);
      said.push(`another image → ${answer}`);
      isHeld &&= answer !== 'ACCEPTED' && answer !== 'internal.bug';
      return verdict(isHeld, said.join(', '));
    },
  },
  {
    id: 'daemon.policy-document',
    title: 'A policy that cannot be read in full',
    attack: 'Unknown words, missing lists, a wrong version, growing aliases, no limit at all.',
    expects: 'Each is refused: what is not understood allows nothing.',
    play: async (field) => {
      const { digest } = await emptySnapshot(field);
      const document = field.policyDocument;
      const { limits: _, ...without } = document;
      const texts = {
        'an unknown word': JSON.stringify({ ...document, network: 'host' }),
        'without limits': JSON.stringify(without),
        'no memory limit': JSON.stringify({
          ...document,
          limits: { ...(document['limits'] as object), memory: '0B' },
        }),
        'another version': JSON.stringify({ ...document, version: 2 }),
        'the key __proto__': `{"__proto__":{},${JSON.stringify(document).slice(1)}`,
        'growing aliases': aliases(),
        'not closed': '[',
      };
      const answers: string[] = [];
      let isHeld = true;
      for (const [name, text] of Object.entries(texts)) {
        const { status, code } = await field.ask({
          method: 'POST',
          path: '/v1/plans',
          body: JSON.stringify({
            intent: 'x',
            snapshot: digest,
            exec: ['true'],
            policy: { text, file: 'p.yaml' },
          }),
        });
        answers.push(`${name} → ${status} ${code}`);
        isHeld &&= status >= 400 && status < 500;
      }
      return verdict(isHeld, answers.join(', '));
    },
  },
];

const Made = z.looseObject({
  tasks: z.array(z.looseObject({ limits: z.record(z.string(), z.number()) })),
});
const Narrowed = z.looseObject({
  limits: z.looseObject({ memoryBytes: z.number(), pids: z.number() }),
  tools: z.array(z.string()),
});

async function ceiling(field: Field): Promise<string> {
  const { items } = await field.client.call('policyList');
  return items.find((each) => each.ceiling)?.name ?? 'default';
}

function codeOf(error: unknown): string {
  if (error instanceof OrchestraError) return error.code;
  throw error;
}

/** Nine levels of ten aliases each: a billion leaves. */
function aliases(): string {
  const levels = Array.from({ length: 9 }, (_, i) =>
    i === 0
      ? 'l0: &l0 [x]'
      : `l${i}: &l${i} [${Array.from({ length: 10 }, () => `*l${i - 1}`).join(', ')}]`,
  );
  return `${levels.join('\n')}\nversion: 1\ntasks: *l8\n`;
}
