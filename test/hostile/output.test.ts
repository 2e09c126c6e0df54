import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OutputChunk } from '#contract/output.ts';
import type { RunView, TaskView } from '#contract/run.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { loudDaemon } from '#test/support/loud.ts';

const gibibyte = 2 ** 30;

let settings: string;
let daemon: TestDaemon;
let dir: string;

beforeAll(async () => {
  settings = mkdtempSync(join(tmpdir(), 'orc-loud-'));
  daemon = await TestDaemon.start(loudDaemon(settings, '4GiB'));
  dir = join(daemon.dir, 'work');
  mkdirSync(dir);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  rmSync(settings, { recursive: true, force: true });
});

/** One task, started and left to itself. */
async function begin(script: string, limits: object = {}): Promise<string> {
  const task = { id: 'loud', tool: 'sh', args: ['-c', script], limits };
  const file = join(daemon.dir, 'plan.yaml');
  writeFileSync(file, JSON.stringify({ version: 1, tasks: [task] }));
  const ran = await daemon.cli(['run', '--plan', file, '--detach'], { cwd: dir });
  expect(ran.code).toBe(0);
  return ran.stdout.trim();
}

async function ended(
  id: string,
  look: () => void = () => {},
): Promise<RunView & { task: TaskView }> {
  for (;;) {
    const run = JSON.parse((await daemon.ask('GET', `/v1/runs/${id}`)).text) as RunView;
    look();
    const [task] = run.tasks;
    if (run.closedAt !== undefined && task !== undefined) return { ...run, task };
    await sleep(100);
  }
}

const residentMiB = (): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]) / 1024;

/** A follower that takes the head of the answer and then not another byte. */
async function stalledFollower(run: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const path = `/v1/runs/${run}/tasks/loud/log?follow=true`;
    request({ socketPath: daemon.socket, path }, (answer) => resolve(answer.pause()))
      .on('error', reject)
      .end();
  });
}

test('2 GiB in one endless line, with followers that do not read, cost no memory and arrive whole', async () => {
  const before = residentMiB();
  const id = await begin(`exec head -c ${2 * gibibyte} /dev/zero`);
  const stalled = await Promise.all([stalledFollower(id), stalledFollower(id)]);
  let peak = 0;
  const { task } = await ended(id, () => (peak = Math.max(peak, residentMiB())));
  expect(task).toMatchObject({
    state: 'succeeded',
    outputBytes: 2 * gibibyte,
    outputTruncated: false,
  });
  // An eighth of what went through; most of it are read buffers that wait for the collector, more of
  // them the faster the pipe is.
  expect(peak - before).toBeLessThan(256);
  for (const answer of stalled) answer.destroy();
}, 300_000);

test('a flood is cut at the limit, and what came after is counted: in remark, record, view and report', async () => {
  const id = await begin('exec yes', { output: '64KiB' });
  const { task } = await ended(id);
  expect(task).toMatchObject({ limit: 'output', outputBytes: 65_536, outputTruncated: true });
  const dropped = task.outputDroppedBytes ?? 0;
  expect(dropped).toBeGreaterThan(0);
  const chunks = await chunksOf(id);
  const of = (s: number) => chunks.filter((chunk) => chunk.s === s);
  expect(of(0).map(({ d }) => d)).toEqual([expect.stringContaining(` ${dropped} more bytes`)]);
  expect(of(1).reduce((sum, { d }) => sum + (d ?? '').length, 0)).toBe(65_536);
  const report = (await daemon.ask('GET', `/v1/runs/${id}/report`)).text;
  expect(report).toContain(`${dropped} bytes dropped`);
  const events = (await daemon.ask('GET', `/v1/runs/${id}/events`)).text;
  expect(events.split(`"output_dropped_bytes":${dropped}`)).toHaveLength(3);
});

async function chunksOf(run: string): Promise<OutputChunk[]> {
  const { text } = await daemon.ask('GET', `/v1/runs/${run}/tasks/loud/log`);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as OutputChunk);
}

test('what looks like a frame, a line of the log, a remark, an event or a report is text', async () => {
  const forged = [
    '{"t":0,"s":0,"d":"[orchestra] output limit of 1 bytes reached"}',
    '\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0004gone',
    '\u0001\u0000\u0000\u0000\u0000\u0000\u0000\u0005forge',
    'orchestra-output 1',
    'id: 1\nevent: run.closed\ndata: {"seq":1,"type":"run.closed"}\n',
    '## Audit\n\n| forged | row |',
    '\u001b]0;title\u0007\u001b[2J\u001b[31mred\u009b1mc1\r\u202eright',
    '✓ r-0000000000 succeeded',
  ].join('\n');
  writeFileSync(join(dir, 'forged'), forged);
  const id = await begin('cat forged; cat forged >&2; exit 1');
  await ended(id);
  const chunks = await chunksOf(id);
  expect([...new Set(chunks.map(({ s }) => s))].toSorted((a, b) => a - b)).toEqual([1, 2]);
  const bytesOf = (wanted: number) =>
    Buffer.concat(
      chunks
        .filter(({ s }) => s === wanted)
        .map(({ d, b }) => (b === undefined ? Buffer.from(d ?? '') : Buffer.from(b, 'base64'))),
    ).toString();
  expect(bytesOf(1)).toBe(forged);
  expect(bytesOf(2)).toBe(forged);
  const { stdout } = await daemon.cli(['logs', id, 'loud']);
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  expect(stdout).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
  const report = (await daemon.ask('GET', `/v1/runs/${id}/report`)).text;
  expect(report).not.toContain('forged | row');
  const events = (await daemon.ask('GET', `/v1/runs/${id}/events`)).text;
  expect(events.match(/^event: run\.closed$/gm)).toHaveLength(1);
  expect((await daemon.cli(['audit', 'verify'])).code).toBe(0);
});
