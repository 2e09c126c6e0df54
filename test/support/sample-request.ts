import { createHash } from 'node:crypto';
import type { RequestRow, RequestView, ShownApproval, ShownQuestion } from '#contract/requests.ts';

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

/** What an approver is shown of a deployment, with changes. */
export function shownApproval(changes: Partial<ShownApproval> = {}): ShownApproval {
  return {
    version: 1,
    kind: 'approval',
    run: 'r-0123456789',
    plan: digest('1'),
    policy: { name: 'default', digest: digest('2') },
    inputs: digest('3'),
    task: {
      id: 'deploy',
      title: 'Deploy',
      why: 'to see it',
      tool: 'npm',
      args: ['run', 'deploy'],
      env: { TARGET: 'preview' },
      needs: ['build'],
      side_effects: true,
    },
    sandbox: {
      image: { reference: 'node:20', id: digest('4'), origin: 'assembled' },
      user: '1000:1000',
      runtime: 'runc',
      network: 'none',
      command: ['npm', 'run', 'deploy', '--', '--env', 'preview'],
      cwd: '/workspace',
      env: { TARGET: 'preview', PATH: '/usr/bin' },
      secrets: ['DEPLOY_TOKEN'],
      mounts: [
        { kind: 'layers', target: '/workspace', readonly: false },
        { kind: 'tmpfs', target: '/tmp', readonly: false, bytes: 67_108_864 },
      ],
      limits: { cpuMilli: 2000, memoryBytes: 536_870_912, timeoutMs: 600_000 },
      seccomp: digest('5'),
      apparmor: 'orchestra-default',
      selinux: '',
    },
    rules: [
      {
        document: 'default',
        id: 'deploys-ask',
        digest: digest('6'),
        line: 42,
        reason: 'deploys are looked at by a person',
      },
    ],
    ask: { approvals: 1, from: [['approver']], self: false },
    ...changes,
  };
}

export function shownQuestion(changes: Partial<ShownQuestion['question']> = {}): ShownQuestion {
  return {
    version: 1,
    kind: 'question',
    run: 'r-0123456789',
    plan: digest('1'),
    inputs: digest('3'),
    task: { id: 'deploy', title: 'Deploy', tool: 'npm' },
    question: { name: 'TARGET', prompt: 'Where to?', kind: 'text', ...changes },
  };
}

/** A request as the daemon answers it, with the digest of exactly its text. */
export function requestView(
  shown: ShownApproval | ShownQuestion = shownApproval(),
  changes: Partial<RequestView> = {},
): RequestView {
  const text = JSON.stringify(shown);
  return {
    id: 'a-0123456789',
    kind: shown.kind,
    state: 'open',
    run: shown.run,
    task: shown.task.id,
    tool: shown.task.tool,
    shown: `sha256:${createHash('sha256').update(text).digest('hex')}`,
    ...(shown.kind === 'question' ? { question: shown.question.name } : { ask: shown.ask }),
    askedBy: 'maria',
    openedAt: '2026-11-23T12:00:00.000Z',
    expiresAt: '2999-11-23T12:00:00.000Z',
    rules: [],
    answers: [],
    text,
    mayAnswer: true,
    ...changes,
  };
}

export function requestRow({
  text: _text,
  before: _before,
  mayAnswer: _may,
  whyNot: _why,
  ...row
}: RequestView): RequestRow {
  return row;
}
