import { expect, test } from 'vitest';
import { FakeDaemon } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';

const value = 'a-value-of-a-secret';

async function ran(args: readonly string[], input?: string | Buffer) {
  await using daemon = await FakeDaemon.open();
  daemon.answer('secretSet', ({ params, body }) => ({
    json: { name: params['name'], bytes: (body as Buffer).length },
  }));
  daemon.answer('secretRemove', ({ params }) => ({ json: { name: params['name'] } }));
  daemon.answer('secretList', {
    json: { writable: true, items: [{ name: 'TOKEN', bytes: 19, set_at: '2026-01-01T00:00:00Z' }] },
  });
  const around = { cwd: '/', host: daemon.host, ...(input === undefined ? {} : { input }) };
  const run = orchestra(args, around);
  const code = await run.code;
  return { code, said: run.out() + run.err(), asked: daemon.asked };
}

test('a value among the arguments is refused, not sent and not repeated', async () => {
  for (const args of [
    ['secret', 'set', 'TOKEN', value],
    ['secret', 'set', `${value} !`],
  ]) {
    const { code, said, asked } = await ran(args, value);
    expect([code, asked]).toEqual([1, []]);
    expect(said).not.toContain(value);
  }
});

test('a value larger than 64 KiB is refused before it is sent', async () => {
  const { code, asked } = await ran(['secret', 'set', 'TOKEN'], Buffer.alloc(64 * 1024 + 1));
  expect([code, asked]).toEqual([1, []]);
});

test('a value goes from standard input to the daemon byte for byte, and nowhere else', async () => {
  const bytes = Buffer.from([0, 0xff, 0x0a, ...Buffer.from(value)]);
  const { code, said, asked } = await ran(['secret', 'set', 'TOKEN'], bytes);
  expect(code).toBe(0);
  expect(asked).toMatchObject([{ name: 'secretSet', params: { name: 'TOKEN' }, body: bytes }]);
  expect(said).toContain('TOKEN is set');
  expect(said).not.toContain(value);
});

test('secrets are listed and removed by name', async () => {
  const list = await ran(['secret', 'ls']);
  expect(list.said).toMatch(/TOKEN +19 B +2026-01-01/);
  const removed = await ran(['secret', 'rm', 'TOKEN']);
  expect(removed.asked).toMatchObject([{ name: 'secretRemove', params: { name: 'TOKEN' } }]);
});
