import { expect, test } from 'vitest';
import { frameHeaderBytes, framesType, title, writeHeader } from '#contract/output-frames.ts';
import type { OutputChunk } from '#contract/output.ts';
import { daemonWithRun, digest, runId, runView, taskView } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

function framed(...all: readonly [0 | 1 | 2, Buffer][]): Buffer {
  const frames = all.map(([s, bytes]) => {
    const header = Buffer.alloc(frameHeaderBytes);
    writeHeader(header, 0, { t: 5, s, length: bytes.length });
    return Buffer.concat([header, bytes]);
  });
  return Buffer.concat([title, ...frames]);
}

const exec = () => runView({ tasks: [taskView({ id: 'exec', exitCode: 0, output: digest })] });
const odd = Buffer.from([0x00, 0xff, 0x1b, 0x5b, 0x32, 0x4a, 0x0d]);

test('an answer that is no output ends the command with a fault, not with a part of it as if it were all', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('taskLog', {
    frames: Buffer.concat([framed([1, Buffer.from('x')]), Buffer.alloc(12, 'y')]),
  });
  const ran = orchestra(['logs', '--raw', runId, 'build'], { cwd: '/', host: daemon.host });
  expect(await ran.code).toBe(70);
  expect(ran.err()).toContain('no output');
});

test('an answer that breaks off is not taken for its end', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('taskLog', { frames: framed([1, Buffer.from('begun')]), cut: true });
  const ran = orchestra(['logs', '--raw', runId, 'build'], { cwd: '/', host: daemon.host });
  expect(await ran.code).toBe(5);
  expect(ran.out()).toBe('begun');
});

test('exec asks for frames and passes each stream on, byte for byte', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(exec());
  const large = Buffer.alloc(700_000, 'a line\n');
  daemon.answer('taskLog', {
    frames: framed([1, odd], [2, Buffer.from('err')], [1, large], [0, Buffer.from('[remark]')]),
  });
  const ran = orchestra(['exec', '--', 'true'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.outBytes()).toEqual(Buffer.concat([odd, large, Buffer.from('[remark]')]));
  expect(ran.err()).toBe('err');
  const asked = daemon.asked.find(({ name }) => name === 'taskLog');
  expect(asked?.accept).toBe(`${framesType}, application/x-ndjson;q=0.5`);
});

test('what frames hold is cleaned like everything else, also where a sequence is cut', async () => {
  await using daemon = await daemonWithRun();
  daemon.answer('taskLog', {
    frames: framed([1, Buffer.from('10%\r100%\u001b]0;')], [1, Buffer.from('x\u0007ä\n')]),
  });
  const ran = orchestra(['logs', runId, 'build'], { cwd: '/', host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.out()).toBe('100%ä\n');
});

test('with --json the chunks are passed on as the daemon cut them', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(exec());
  const lines: OutputChunk[] = [
    { t: 1, s: 1, d: 'out\n' },
    { t: 2, s: 2, b: odd.toString('base64') },
  ];
  daemon.answer('taskLog', ({ accept }) =>
    accept === 'application/x-ndjson' ? { lines } : { problem: 'internal.bug' },
  );
  const around = { cwd: dir.path, host: daemon.host };
  const logs = orchestra(['logs', '--json', runId, 'exec'], around);
  expect(await logs.code).toBe(0);
  const said = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
  expect(said(logs.out())).toEqual(lines.map((line) => ({ task: 'exec', ...line })));
  const ran = orchestra(['exec', '--json', '--', 'true'], around);
  expect(await ran.code).toBe(0);
  expect(said(ran.out()).slice(0, 2)).toEqual(lines.map((output) => ({ output })));
});

test('show tells what was left out of a task, in one line each, harmless', async () => {
  const leftOut = [
    { entries: 5, first: [{ path: 'out/\u001b[2J\nx', reason: 'socket' }] },
    { output: 'dist', entries: 1, first: [{ path: 'link', reason: 'link' }] },
  ];
  await using daemon = await daemonWithRun(runView({ tasks: [taskView({ leftOut })] }));
  const ran = orchestra(['show', runId], { cwd: '/', host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.out()).toMatch(
    /^ {4}5 entries of its changes left out or disarmed: "out\/.*x" \(socket\), and 4 more$/m,
  );
  expect(ran.out()).toContain('\n    1 entry of output dist left out or disarmed: "link" (link)\n');
  expect(ran.out()).not.toContain('\u001b');
});

test('under a task that failed stand its last lines, however much it had said before', async () => {
  const failed = taskView({ state: 'failed', exitCode: 1, output: digest });
  await using daemon = await daemonWithRun(
    runView({ state: 'failed', exitCode: 2, tasks: [failed] }),
  );
  const much = Buffer.alloc(17 * 50_000, 'a line of before\n');
  const last = Array.from({ length: 12 }, (_, n) => `\u001b[31mlast ${n}\n`).join('');
  daemon.answer('taskLog', { frames: framed([1, much], [2, much], [1, Buffer.from(last)]) });
  await using dir = await tempDir();
  const ran = orchestra(['run', 'Build it'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(2);
  const shown = ran.out().match(/^ {4}(?:a line|last).*$/gm);
  expect(shown).toEqual(Array.from({ length: 12 }, (_, n) => `    last ${n}`));
});

test('output that is followed goes on over a restart where it stopped, each stream for itself, nothing twice', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(exec());
  const first = framed([1, Buffer.from('one\ntwo\n')], [2, Buffer.from('oops\n')]);
  // The next daemon may cut it into other frames.
  const next = framed(
    [1, Buffer.from('one\n')],
    [1, Buffer.from('two\nthr')],
    [2, Buffer.from('oops\n')],
    [1, Buffer.from('ee\n')],
  );
  const asked = () => daemon.namesAsked().filter((name) => name === 'taskLog').length;
  daemon.answer('taskLog', () => (asked() === 1 ? { frames: first, cut: true } : { frames: next }));
  const ran = orchestra(['exec', '--', 'true'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect([ran.out(), ran.err()]).toEqual(['one\ntwo\nthree\n', 'oops\n']);
});

test('where another attempt wrote something else meanwhile, that is told and comes from its beginning', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(exec());
  const asked = () => daemon.namesAsked().filter((name) => name === 'taskLog').length;
  for (const second of ['tw', 'two and more\n']) {
    const before = asked();
    daemon.answer('taskLog', () =>
      asked() === before + 1
        ? { frames: framed([1, Buffer.from('one\n')]), cut: true }
        : { frames: framed([1, Buffer.from(second)]) },
    );
    const ran = orchestra(['exec', '--', 'true'], { cwd: dir.path, host: daemon.host });
    expect(await ran.code).toBe(0);
    expect(ran.out()).toMatch(/^one\n\[orchestra: another attempt .*\]\n/);
    expect(ran.out().endsWith(second)).toBe(true);
  }
});

test('chunks of JSON go on over a restart as well, cut where they have to be', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(exec());
  const chunk = (d: string): OutputChunk => ({ t: 1, s: 1, d });
  const asked = () => daemon.namesAsked().filter((name) => name === 'taskLog').length;
  daemon.answer('taskLog', () =>
    asked() === 1
      ? { lines: [chunk('one\n')], cut: true }
      : { lines: [chunk('one\nt'), chunk('wo\n')] },
  );
  const ran = orchestra(['--json', 'exec', '--', 'true'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  const texts = ran
    .out()
    .split('\n')
    .filter((line) => line.includes('"output":{'))
    .map((line) => (JSON.parse(line) as { output: OutputChunk }).output.d);
  expect(texts).toEqual(['one\n', 't', 'wo\n']);
});
