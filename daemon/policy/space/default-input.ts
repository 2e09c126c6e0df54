import { deepFreeze } from '../../base/freeze.ts';
import type { PolicyInput } from '../input.ts';

/**
 * An ordinary task of an ordinary user. What a test case leaves out is as it stands here, and a
 * search for counterexamples begins here, so that they differ from it in what matters alone.
 */
export const defaultInput: PolicyInput = deepFreeze({
  actor: { uid: 1000, user: 'someone', groups: [], roles: ['runner'], auth: 'peer' },
  run: {
    id: '',
    intent: '',
    planner: 'file',
    plan: `sha256:${'0'.repeat(64)}`,
    policy: 'default',
    workspace: { name: 'project', files: 100, bytes: 1_000_000 },
    tasks: 1,
    concurrency: 1,
    continues: '',
  },
  task: {
    id: 'task',
    tool: 'node',
    args: ['--version'],
    env: {},
    secrets: [],
    limits: {
      cpu_milli: 1000,
      memory_bytes: 512 * 1024 ** 2,
      pids: 256,
      open_files: 1024,
      file_size_bytes: 1024 ** 3,
      disk_bytes: 1024 ** 3,
      disk_files: 100_000,
      tmp_bytes: 64 * 1024 ** 2,
      output_bytes: 16 * 1024 ** 2,
      timeout_ms: 600_000,
      idle_ms: 300_000,
    },
    side_effects: false,
    needs: [],
    provisions: [],
    cwd: '.',
  },
  spec: {
    profile: 'standard',
    image: {
      reference: 'node:20-alpine',
      digest: `sha256:${'0'.repeat(64)}`,
      origin: 'assembled',
    },
    runtime: 'runc',
    uid: 1000,
    gid: 1000,
    command: ['node', '--version'],
    mounts: [
      { kind: 'overlay', target: '/workspace', readonly: false },
      { kind: 'tmpfs', target: '/tmp', readonly: false },
      { kind: 'tmpfs', target: '/home/node', readonly: false },
    ],
    seccomp: `sha256:${'0'.repeat(64)}`,
    apparmor: '',
    selinux: '',
  },
  history: {
    runs_today: 0,
    task: { succeeded: 0, failed: 0, seconds_p50: 0 },
    approved_before: false,
    tool_allowed: true,
  },
});
