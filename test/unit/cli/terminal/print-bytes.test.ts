import { PassThrough, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { Print } from '#cli/terminal/print.ts';

function printTo(stdout: Writable): Print {
  const io = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
  return new Print(io, { env: {}, json: false, noColor: true, verbosity: 'normal' });
}

/** Takes one block at a time, each a moment later. */
const slow = () =>
  new Writable({ highWaterMark: 1, write: (_chunk, _encoding, done) => setImmediate(done) });

test('a reader that is slow for many blocks leaves no listener behind for each of them', async () => {
  const stdout = slow();
  const before = stdout.eventNames().map((name) => stdout.listenerCount(name));
  const print = printTo(stdout);
  for (let n = 0; n < 50; n += 1) await print.bytes(Buffer.from('block'));
  expect(stdout.eventNames().map((name) => stdout.listenerCount(name))).toEqual(before);
});

test('a reader that goes away while it is waited for is waited for no longer', async () => {
  const stdout = new Writable({ highWaterMark: 1, write: () => undefined });
  const written = printTo(stdout).bytes(Buffer.from('block'));
  stdout.destroy();
  await written;
  await printTo(stdout).bytes(Buffer.from('more'));
});

test('a stream that fails while it is waited for fails the writing', async () => {
  const stdout = new Writable({ highWaterMark: 1, write: () => undefined });
  const written = printTo(stdout).bytes(Buffer.from('block'));
  stdout.destroy(Object.assign(new Error('gone'), { code: 'EPIPE' }));
  await expect(written).rejects.toMatchObject({ code: 'EPIPE' });
});
