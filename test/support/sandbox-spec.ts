import type { Limits } from '#contract/limits.ts';
import { sandboxLabels } from '#daemon/engine/labels.ts';
import type { SandboxSpec } from '#daemon/policy/spec.ts';

export const testLimits: Limits = {
  cpuMilli: 1000,
  memoryBytes: 256 * 1024 ** 2,
  pids: 64,
  openFiles: 1024,
  fileSizeBytes: 64 * 1024 ** 2,
  diskBytes: 256 * 1024 ** 2,
  diskFiles: 10_000,
  tmpBytes: 16 * 1024 ** 2,
  outputBytes: 1024 ** 2,
  timeoutMs: 30_000,
  idleMs: 30_000,
};

export const testLabels = sandboxLabels({
  install: 'test',
  run: 'r-0000000000',
  task: 'build',
  attempt: 1,
});

/** A spec that passes the floor; a test says what it wants otherwise. */
export function testSpec(change: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    role: 'task',
    name: 'orchestra-test-build-1',
    image: { reference: 'test/image', id: `sha256:${'a'.repeat(64)}` },
    command: ['sh', '-c', 'true'],
    cwd: '/tmp',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp' },
    user: { uid: 1000, gid: 1000 },
    runtime: 'runc',
    seccomp: { profile: 'builtin' },
    apparmor: undefined,
    limits: testLimits,
    mounts: [{ kind: 'tmpfs', target: '/tmp', sizeBytes: testLimits.tmpBytes, executable: false }],
    labels: testLabels,
    secrets: [],
    ...change,
  };
}
