import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { leaves } from '#cli/commands.ts';
import type { CheckpointAnswer } from '#contract/checkpoint.ts';
import { exitCodes } from '#contract/errors.ts';
import { daemonWithRun, runId } from '#test/support/fake-daemon.ts';
import { KnownLog } from '#test/support/known-log.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { requestRow, requestView, shownQuestion } from '#test/support/sample-request.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { spellNote } from '#verifier/tlog/note.ts';

/** The arguments with which each command does something; a command that is missing here fails. */
const words: Record<string, string[]> = {
  run: ['Build and test'],
  plan: ['Build and test'],
  'plan diff': [runId, runId],
  exec: ['--', 'ls', '--json'],
  resume: [runId],
  retry: [runId, 'build'],
  replan: [runId],
  rate: [runId, 'up'],
  learned: [],
  'learned show': [],
  'learned export': [],
  'learned forget': ['--all'],
  fork: [runId, '--from', 'build'],
  runs: [],
  show: [runId],
  explain: [runId, 'build'],
  watch: [runId],
  wait: [runId],
  logs: [runId],
  report: [runId],
  'artifacts ls': [runId],
  'artifacts get': [runId, 'dist'],
  provenance: [runId],
  diff: [runId],
  apply: [runId],
  pause: [runId],
  cancel: [runId],
  approvals: [],
  approve: ['a-0123456789', '--digest', requestView().shown],
  deny: ['a-0123456789', '--reason', 'not today'],
  answer: [runId, 'TARGET', 'preview'],
  'audit list': [],
  'audit tail': [],
  'audit show': ['10'],
  'audit stats': [],
  'audit extract': [runId],
  'audit prove': ['10'],
  'audit export': ['-o', 'log.csv', '--format', 'csv'],
  'audit forwarders': [],
  'audit subjects': [],
  'audit disclose': ['10'],
  'audit erase': ['ada', '--reason', 'she asked', '--yes'],
  'audit witnesses': [],
  'audit anchor': [],
  'audit verify': [],
  'audit checkpoint': [],
  'audit keys': [],
  'audit keys list': [],
  'audit keys rotate': [],
  'audit tiles': ['tiles'],
  'audit acknowledge-loss': ['--reason', 'the disk died', '--state-dir', 'state'],
  'audit coverage': [],
  'audit evidence': ['--from', '2026-01-01', '-o', 'evidence'],
  'audit prune': ['--yes'],
  'audit hold list': [],
  'audit hold set': ['case-42', '--reason', 'litigation'],
  'audit hold clear': ['case-42', '--reason', 'settled'],
  'policy show': ['default'],
  'policy check': ['policy.yaml'],
  'policy explain': [runId],
  'policy test': ['policy.yaml'],
  'policy diff': ['default', 'policy.yaml'],
  'policy dry-run': ['policy.yaml'],
  'policy reload': [],
  'policy schema': [],
  'secret ls': [],
  whoami: [],
  usage: [],
  'secret set': ['TOKEN'],
  'secret rm': ['TOKEN'],
  'token create': [],
  'token list': [],
  'token revoke': ['t-0123456789'],
  login: [],
  logout: ['https://127.0.0.1:1'],
  tools: [],
  'tools show': ['node'],
  'tools withdraw': ['node'],
  'tools export': [],
  selftest: ['--list'],
  doctor: [],
  'engine status': [],
  'engine stop': [],
  'image ls': [],
  'image build': [],
  'image load': ['image.tar'],
  'image pin': ['node:20-alpine'],
  'bundle verify': ['.'],
  prune: [],
  'config show': [],
  completion: ['bash'],
  version: [],
  help: ['exit-codes'],
};

/** These look at an engine, and here is none. */
const needEngine = ['engine status', 'image ls', 'image build', 'image load'];
/** These ask no daemon. */
const needNothing = [
  'selftest',
  'login',
  'logout',
  'audit acknowledge-loss',
  'audit coverage',
  'policy check',
  'policy schema',
  'bundle verify',
  'engine stop',
  'completion',
  'version',
  'help',
];
/** These find something wrong in what they are given. */
const wrong: Readonly<Record<string, number>> = { 'policy check': 1, 'bundle verify': 4, login: 1 };
/** These tell of a daemon that refuses, and go on. */
const lenient = ['config show', 'doctor'];

const all = leaves().map(({ words }) => words.join(' '));

async function signed(): Promise<CheckpointAnswer> {
  const log = new KnownLog();
  await log.grow(3);
  const { checkpoints } = log;
  return {
    checkpoint: spellNote(checkpoints.at(log.size).note),
    keys: checkpoints.keys.map(({ epoch, vkey, seq }) => ({ epoch, vkey, seq })),
    epochs: [],
  };
}

async function jsonOf(name: string, refused: boolean): Promise<{ code: number; lines: unknown[] }> {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  if (refused) daemon.refuseAll('access.denied');
  else if (name === 'audit checkpoint') daemon.answer('auditCheckpoint', { json: await signed() });
  const asked = name === 'answer' ? requestView(shownQuestion()) : requestView();
  daemon
    .answer('requestShow', { json: asked })
    .answer('requestAnswer', { json: requestRow(asked) })
    .answer('requestList', { json: { items: [requestRow(asked)] } });
  await writeFile(path.join(dir.path, 'policy.yaml'), 'version: 1\n');
  await writeFile(path.join(dir.path, 'policy.test.yaml'), 'version: 1\n');
  const args = words[name] ?? [];
  const ran = orchestra([...name.split(' '), '--json', ...args], {
    cwd: dir.path,
    host: daemon.host,
    input: 'a-value-of-a-secret',
    env: {
      DOCKER_HOST: `unix://${dir.path}/none.sock`,
      ORCHESTRA_ENGINE_DIR: `${dir.path}/engine`,
    },
  });
  const code = await ran.code;
  const lines = ran.out().trimEnd().split('\n');
  return { code, lines: lines.map((line) => JSON.parse(line) as unknown) };
}

test.each(all)('%s --json prints nothing but JSON on success', async (name) => {
  expect(words).toHaveProperty([name]);
  const { code, lines } = await jsonOf(name, false);
  expect(lines.length).toBeGreaterThan(0);
  expect(code).toBe(needEngine.includes(name) ? 5 : (wrong[name] ?? 0));
});

test.each(all.filter((name) => ![...needNothing, ...needEngine, ...lenient].includes(name)))(
  '%s --json prints its refusal as JSON with the exit code',
  async (name) => {
    const { code, lines } = await jsonOf(name, true);
    expect(code).toBe(exitCodes.denied);
    expect(lines.at(-1)).toMatchObject({ error: { code: 'access.denied', exit_code: 6 } });
  },
);

test.each([
  ['an unknown flag', ['runs', '--json', '--nope']],
  ['an unknown command', ['--json', 'rnus']],
  ['a missing argument', ['show', '--json']],
  ['no daemon', ['runs', '--json', '--host', 'unix:///nowhere/at.sock']],
])('%s is a JSON error too', async (_name, args) => {
  await using dir = await tempDir();
  const ran = orchestra(args, { cwd: dir.path });
  const code = await ran.code;
  expect(JSON.parse(ran.out())).toMatchObject({ error: { exit_code: code } });
  expect(code).toBeGreaterThan(0);
});
