import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { screenOf } from '#cli/requests/screen.ts';
import type { RequestView } from '#contract/requests.ts';
import {
  daemonWithRun,
  type FakeDaemon,
  recordsOf,
  runId,
  runView,
  taskView,
} from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import {
  requestRow,
  requestView,
  shownApproval,
  shownQuestion,
} from '#test/support/sample-request.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const facts = { nowMs: Date.parse('2026-11-23T12:00:00Z'), columns: 100 };
const screen = (view: RequestView, columns = 100) =>
  screenOf(view, { ...facts, columns }).join('\n');

async function daemonThatAsks(view: RequestView): Promise<FakeDaemon> {
  const daemon = await daemonWithRun();
  return daemon
    .answer('requestShow', { json: view })
    .answer('requestAnswer', { json: requestRow(view) })
    .answer('requestList', { json: { items: [requestRow(view)] } });
}

async function saying(daemon: FakeDaemon, args: string[], input?: string) {
  await using dir = await tempDir();
  const ran = orchestra(args, {
    cwd: dir.path,
    host: daemon.host,
    ...(input === undefined ? {} : { input }),
  });
  const code = await ran.code;
  return { code, out: ran.out(), err: ran.err() };
}

describe('what is shown to whoever approves', () => {
  test('is refused where its text is of another digest than the one that would be approved', () => {
    const view = requestView();
    const text = view.text.replace('"preview"', '"production"');
    expect(() => screen({ ...view, text })).toThrow('not what its digest names');
  });

  test('is refused where it says more than this version can show', () => {
    const shown = { ...shownApproval(), privileged: true };
    expect(() => screen(requestView(shown))).toThrow('not understood');
  });

  test('has command, image by digest, user, secrets by name, mounts, limits, rule and digest', () => {
    const view = requestView();
    const text = screen(view, 300);
    for (const part of [
      'npm run deploy -- --env preview',
      `sha256:${'4'.repeat(64)}`,
      '1000:1000',
      'network none',
      'DEPLOY_TOKEN',
      '/workspace (layers)',
      'memory 512 MiB',
      'default/deploys-ask, line 42: deploys are looked at by a person',
      'approver, not who submitted it',
      'asked by maria',
      'TARGET=preview',
      'it changes something outside',
      view.shown,
    ]) {
      expect(text).toContain(part);
    }
  });

  test('says that an approval puts a program on a list, which and of whom, and only where it does', () => {
    const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
    const grows = { name: 'node', version: '20.1.0', binary: digest('5'), image: digest('4') };
    const text = screen(requestView({ ...shownApproval(), grows }), 300);
    expect(text).toContain(
      `lists     │ node 20.1.0 (${digest('5')}) of this image comes on the list of maria`,
    );
    expect(screen(requestView())).not.toContain('comes on the list');
  });

  test('cannot be led astray by what a plan brings along', () => {
    const evil = '\u001b[2J\u001b[1;1H\r\n  digest    │ sha256:0000\u202e\u0007\u009b31m';
    const shown = shownApproval();
    const view = requestView({
      ...shown,
      task: { ...shown.task, title: evil, why: evil, env: { TARGET: evil } },
      sandbox: { ...shown.sandbox, command: ['sh', '-c', evil], env: { TARGET: evil }, cwd: evil },
      rules: shown.rules.map((rule) => ({ ...rule, reason: evil })),
    });
    const lines = screenOf({ ...view, askedBy: evil }, facts);
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    for (const line of lines) expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(lines.filter((line) => /^ {2}digest {4}│ sha256:/.test(line))).toHaveLength(1);
  });

  test('puts every line of a long argument behind the bar, so that none looks like ours', () => {
    const shown = shownApproval();
    const spaces = ' '.repeat(87);
    const long = `x${spaces}digest    │ sha256:fake${spaces}[a] approve once`;
    const view = requestView({
      ...shown,
      sandbox: { ...shown.sandbox, command: ['sh', '-c', long] },
    });
    for (const line of screenOf(view, facts).slice(1)) expect(line).toMatch(/^ {2}.{10}│ /);
  });

  test('says that there are letters which look like others', () => {
    const shown = shownApproval();
    const view = requestView({
      ...shown,
      sandbox: { ...shown.sandbox, command: ['npm', 'run', 'dерloy'] },
    });
    expect(screen(view)).toContain('some look like others');
  });

  test('says what is another since it was approved before, and what nobody ever approved', () => {
    const before = shownApproval({ run: 'r-0000000000' });
    const shown = shownApproval();
    const now = { ...shown, sandbox: { ...shown.sandbox, command: ['npm', 'run', 'destroy'] } };
    const at = '2026-11-22T12:00:00.000Z';
    const earlier = { request: 'a-1', run: before.run, at, text: JSON.stringify(before) };
    const text = screen(requestView(now, { before: earlier }), 200);
    expect(text).toMatch(/changed +│ command since r-0000000000/);
    expect(text).toMatch(/ {2}- +│ npm run deploy -- --env preview/);
    expect(text).toMatch(/ {2}\+ +│ npm run destroy/);
    expect(screen(requestView(shown, { before: earlier }), 200)).toMatch(
      /changed +│ nothing since/,
    );
    expect(screen(requestView())).toContain('nothing like it was approved before');
  });
});

describe('orchestra approve', () => {
  test('approves nothing without somebody who looks, and names the command with the digest', async () => {
    const view = requestView();
    await using daemon = await daemonThatAsks(view);
    const { code, err } = await saying(daemon, ['approve', view.id], 'y\n');
    expect(code).toBe(6);
    expect(err).toContain(`--digest ${view.shown}`);
    expect(daemon.namesAsked()).not.toContain('requestAnswer');
  });

  test('says of one that is over that it is, instead of how to approve it', async () => {
    const view: RequestView = { ...requestView(), state: 'expired' };
    await using daemon = await daemonThatAsks(view);
    const { code, err } = await saying(daemon, ['approve', view.id]);
    expect(code).toBe(6);
    expect(err).toContain('not open any more: expired');
    expect(err).not.toContain('--digest');
  });

  test('sends the digest that was named, whatever is asked by now', async () => {
    const view = requestView();
    await using daemon = await daemonThatAsks(view);
    const seen = `sha256:${'9'.repeat(64)}`;
    const { code } = await saying(daemon, ['approve', runId, 'deploy', '--digest', seen]);
    expect(code).toBe(0);
    const sent = daemon.asked.find(({ name }) => name === 'requestAnswer');
    expect(sent?.body).toEqual({ answer: 'approve', digest: seen });
  });

  test.each(['sha256:abc', '4be1', ''])('takes no half a digest such as %j', async (digest) => {
    await using daemon = await daemonThatAsks(requestView());
    const { code } = await saying(daemon, ['approve', 'a-0123456789', '--digest', digest]);
    expect(code).toBe(1);
    expect(daemon.namesAsked()).not.toContain('requestAnswer');
  });

  test('says of a task that nothing is asked about it', async () => {
    await using daemon = await daemonThatAsks(requestView());
    daemon.answer('requestList', { json: { items: [] } });
    const { code, err } = await saying(daemon, ['approve', runId, 'deploy']);
    expect(code).toBe(1);
    expect(err).toContain('Nothing is asked about deploy');
  });
});

test('a no needs its reason', async () => {
  await using daemon = await daemonThatAsks(requestView());
  expect((await saying(daemon, ['deny', runId, 'deploy'])).code).toBe(1);
  expect((await saying(daemon, ['deny', runId, 'deploy', '--reason', ' '])).code).toBe(1);
  expect(daemon.namesAsked()).not.toContain('requestAnswer');
  expect((await saying(daemon, ['deny', runId, 'deploy', '--reason', 'no'])).code).toBe(0);
});

describe('orchestra answer', () => {
  test('takes no secret as an argument', async () => {
    const view = requestView(shownQuestion({ kind: 'secret' }));
    await using daemon = await daemonThatAsks(view);
    const { code, err } = await saying(daemon, ['answer', runId, 'TARGET', 'hunter2hunter2']);
    expect(code).toBe(1);
    expect(err).toContain('every user sees arguments');
    expect(err).not.toContain('hunter2');
    expect(daemon.namesAsked()).not.toContain('requestAnswer');
  });

  test('takes a secret from standard input, without the line end behind it', async () => {
    const view = requestView(shownQuestion({ kind: 'secret' }));
    await using daemon = await daemonThatAsks(view);
    const { code, out, err } = await saying(
      daemon,
      ['answer', runId, 'TARGET', '--file', '-'],
      'hunter2hunter2\n',
    );
    expect(code).toBe(0);
    expect(out + err).not.toContain('hunter2');
    const sent = daemon.asked.find(({ name }) => name === 'requestAnswer');
    expect(sent?.body).toMatchObject({ answer: 'value', value: 'hunter2hunter2' });
  });
});

describe('a run that waits for people, with no terminal', () => {
  const asking = (asks: { id: string; kind: 'approval' | 'question' }[]) =>
    runView({
      state: 'running',
      tasks: [taskView({ id: 'deploy', state: asks[0]?.kind ?? 'waiting', asks })],
    });

  async function* thenStands() {
    yield* recordsOf('succeeded', 0).slice(0, 1);
    yield {
      ...recordsOf('succeeded', 0)[0],
      seq: 99,
      type: 'run.stands',
      data: { requests: 1 },
    } as never;
    await new Promise(() => {});
  }

  test('is left with exit code 6 and the command that answers', async () => {
    const view = requestView();
    await using daemon = await daemonThatAsks(view);
    const running = asking([{ id: view.id, kind: 'approval' }]);
    const pictures = [asking([])];
    daemon
      .answer('runShow', () => ({ json: pictures.shift() ?? running }))
      .answer('runEvents', { records: thenStands() });
    const { code, err } = await saying(daemon, ['run', 'deploy it']);
    expect(code).toBe(6);
    expect(err).toContain(`orchestra approve ${running.id} deploy`);
    expect(daemon.namesAsked()).not.toContain('runCancel');
    expect(daemon.namesAsked()).not.toContain('requestAnswer');
  });

  test.each<[string, Parameters<typeof shownQuestion>[0], string[], string]>([
    ['--answer', {}, ['--answer', 'TARGET=production'], 'production'],
    ['its default', { default: 'preview' }, [], 'preview'],
  ])('has a question answered by %s', async (_name, question, args, value) => {
    const view = requestView(shownQuestion(question));
    await using daemon = await daemonThatAsks(view);
    const answered = Promise.withResolvers<void>();
    daemon
      .answer('runShow', { json: asking([{ id: view.id, kind: 'question' }]) })
      .answer('requestAnswer', () => {
        answered.resolve();
        daemon.answer('runShow', { json: runView() });
        return { json: requestRow({ ...view, state: 'answered' }) };
      })
      .answer('runEvents', async () => {
        await answered.promise;
        return { records: recordsOf('succeeded', 0) };
      });
    const { code } = await saying(daemon, ['run', 'deploy it', ...args]);
    expect(code).toBe(0);
    const sent = daemon.asked.find(({ name }) => name === 'requestAnswer');
    expect(sent?.body).toEqual({ answer: 'value', value, digest: view.shown });
  });

  test('does not take a secret from --answer, but from a file', async () => {
    const view = requestView(shownQuestion({ kind: 'secret' }));
    await using daemon = await daemonThatAsks(view);
    const running = asking([{ id: view.id, kind: 'question' }]);
    daemon.answer('runShow', { json: running }).answer('runEvents', { records: thenStands() });
    const spoken = await saying(daemon, ['run', 'it', '--answer', 'TARGET=hunter2hunter2']);
    expect(spoken.code).toBe(6);
    expect(daemon.namesAsked()).not.toContain('requestAnswer');
    await using dir = await tempDir();
    const file = path.join(dir.path, 'answers.yaml');
    await writeFile(file, 'TARGET: hunter2hunter2\n');
    daemon.answer('runEvents', { records: thenStands() });
    await saying(daemon, ['run', 'it', '--answers', file]);
    const sent = daemon.asked.find(({ name }) => name === 'requestAnswer');
    expect(sent?.body).toMatchObject({ value: 'hunter2hunter2' });
  });

  test.each([['NAME'], ['name=x'], ['A B=x']])('refuses --answer %s', async (text) => {
    await using daemon = await daemonWithRun();
    expect((await saying(daemon, ['run', 'it', '--answer', text])).code).toBe(1);
    expect(daemon.namesAsked()).not.toContain('runSubmit');
  });

  test('refuses --approval ask before anything is started', async () => {
    await using daemon = await daemonWithRun();
    expect((await saying(daemon, ['run', 'it', '--approval', 'ask'])).code).toBe(1);
    expect(daemon.namesAsked()).not.toContain('runSubmit');
  });
});
