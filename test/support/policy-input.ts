import type { PolicyInput } from '#daemon/policy/judgement.ts';
import { testImage } from './policies.ts';

type Over = { readonly [K in keyof PolicyInput]?: Partial<PolicyInput[K]> };

/** `npm test` of an ordinary user, on an ordinary machine, with what a test wants otherwise. */
export function policyInput(over: Over = {}): PolicyInput {
  return {
    actor: {
      uid: 1000,
      user: 'ada',
      groups: ['ada', 'dev'],
      roles: ['runner'],
      auth: 'peer',
      ...over.actor,
    },
    run: {
      id: 'r-0000000001',
      intent: 'Test it',
      planner: 'file',
      plan: `sha256:${'2'.repeat(64)}`,
      policy: 'default',
      workspace: { name: 'demo', files: 12, bytes: 4096 },
      tasks: 1,
      concurrency: 2,
      continues: '',
      ...over.run,
    },
    task: {
      id: 'test',
      tool: 'npm',
      args: ['test'],
      env: {},
      secrets: [],
      limits: {
        cpu_milli: 1000,
        memory_bytes: 512 * 1024 ** 2,
        pids: 128,
        open_files: 1024,
        file_size_bytes: 1024 ** 2,
        disk_bytes: 1024 ** 2,
        disk_files: 1000,
        tmp_bytes: 1024 ** 2,
        output_bytes: 1024 ** 2,
        timeout_ms: 60_000,
        idle_ms: 60_000,
      },
      side_effects: false,
      needs: [],
      provisions: [],
      cwd: '.',
      ...over.task,
    },
    spec: {
      profile: 'standard',
      image: { reference: testImage.reference, digest: testImage.id, origin: 'assembled' },
      runtime: 'runc',
      uid: 1000,
      gid: 1000,
      command: ['npm', 'test'],
      mounts: [
        { kind: 'overlay', target: '/workspace', readonly: false },
        { kind: 'tmpfs', target: '/tmp', readonly: false },
      ],
      seccomp: `sha256:${'3'.repeat(64)}`,
      apparmor: '',
      selinux: '',
      ...over.spec,
    },
    history: {
      runs_today: 0,
      task: { succeeded: 0, failed: 0, seconds_p50: 0 },
      approved_before: false,
      tool_allowed: true,
      ...over.history,
    },
  };
}
