import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OutputPiece } from '#daemon/engine/engine.ts';
import { pipesOpenLine } from '#daemon/engine/gate.ts';
import { pipedOutput } from '#daemon/engine/pipes.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'orchestra-pipes-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function openPair(name: string) {
  const file = path.join(dir, name);
  execFileSync('mkfifo', [file]);
  const open = (flag: number) => openSync(file, flag | constants.O_NONBLOCK);
  const read = open(constants.O_RDONLY);
  return { ends: { read, write: open(constants.O_WRONLY) }, task: open(constants.O_WRONLY) };
}

function pipes(isAdopted: boolean) {
  const [out, err] = [openPair('out'), openPair('err')];
  const piped = pipedOutput({
    ends: { out: out.ends, err: err.ends },
    ready: Promise.resolve(),
    engine: (async function* (): AsyncGenerator<OutputPiece> {})(),
    isAdopted,
  });
  const closeTask = () => [out.task, err.task].forEach((fd) => closeSync(fd));
  return { ...piped, say: (text: string) => void writeSync(out.task, text), closeTask };
}

const text = async (output: AsyncIterable<OutputPiece>) =>
  (await Array.fromAsync(output)).map(({ bytes }) => Buffer.from(bytes).toString()).join('');

test('without the word of the gate there is no output of a task', async () => {
  const { output, say, closeTask } = pipes(false);
  say('something else');
  await expect(text(output)).rejects.toThrow('the gate did not open');
  closeTask();
});

test('the word of the gate is taken off, and the end comes with the last writer', async () => {
  const { output, say, closeTask } = pipes(false);
  say(`${pipesOpenLine}said`);
  closeTask();
  expect(await text(output)).toBe('said');
});

test('of one that was adopted the word may be gone already, and is taken off where it is not', async () => {
  for (const before of ['', pipesOpenLine]) {
    const it = pipes(true);
    it.say(`${before}said`);
    it.closeTask();
    it.over();
    expect(await text(it.output)).toBe('said');
    rmSync(path.join(dir, 'out'));
    rmSync(path.join(dir, 'err'));
  }
});

test('of one that was adopted the output does not end before its sandbox does', async () => {
  const it = pipes(true);
  it.say('said');
  it.closeTask();
  const all = text(it.output);
  const early = await Promise.race([all, new Promise((resolve) => void setTimeout(resolve, 30))]);
  expect(early).toBeUndefined();
  it.over();
  expect(await all).toBe('said');
});

test('what was never read can be closed', () => {
  const it = pipes(true);
  it.close();
  it.close();
  it.over();
  it.closeTask();
});
