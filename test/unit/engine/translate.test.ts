import { expect, test } from 'vitest';
import { createOptions } from '#daemon/engine/drivers/translate.ts';
import { seccompOf } from '#test/support/seccomp.ts';
import { fakeHost } from '#test/support/fake-engine.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

test('a spec becomes exactly these words of the engine', () => {
  const spec = testSpec({
    mounts: [
      {
        kind: 'overlay',
        lower: ['/state/layers/top', '/state/layers/bottom'],
        upper: '/state/layers/u',
        work: '/state/layers/w',
        target: '/workspace',
      },
      { kind: 'bind', source: '/state/layers/ro', target: '/data', readonly: true },
      { kind: 'tmpfs', target: '/tmp', sizeBytes: 8_388_608, executable: false },
      { kind: 'tmpfs', target: '/home/node', sizeBytes: 4096, executable: true },
    ],
  });
  expect(createOptions(spec, fakeHost, ['PATH=/image', 'NODE_VERSION=20'])).toMatchSnapshot();
});

test('neither the command nor a variable of a task is told to the engine', () => {
  const spec = testSpec({
    command: ['node', 'secret.js'],
    env: { TOKEN: 'secret' },
    cwd: '/secret',
  });
  expect(JSON.stringify(createOptions(spec, fakeHost, []))).not.toContain('secret');
});

test('variables of the image are taken away', () => {
  const env = createOptions(testSpec(), fakeHost, ['PATH=x', 'B=y', 'C']).Env;
  expect(env).toEqual(['HOME=/', expect.stringMatching(/^PATH=\/usr\/local/), 'B', 'C']);
});

test('profiles of seccomp and AppArmor and a type of SELinux are passed on as they are', () => {
  const json = '{"defaultAction":"SCMP_ACT_ERRNO"}';
  const spec = testSpec({
    seccomp: seccompOf(json),
    apparmor: 'orchestra-sandbox',
    selinux: 'orchestra_sandbox_t',
  });
  expect(createOptions(spec, fakeHost, []).HostConfig?.SecurityOpt).toEqual([
    'no-new-privileges:true',
    `seccomp=${json}`,
    'apparmor=orchestra-sandbox',
    'label=type:orchestra_sandbox_t',
  ]);
});

test('a limit of open files above the host is lowered to it', () => {
  const spec = testSpec();
  const limits = { ...spec.limits, openFiles: 1_000_000 };
  const ulimits = createOptions({ ...spec, limits }, fakeHost, []).HostConfig?.Ulimits;
  expect(ulimits).toContainEqual({ Name: 'nofile', Soft: 4096, Hard: 4096 });
});
