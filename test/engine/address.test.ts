import { createServer, connect, type AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { withoutSlots } from '#daemon/sandbox/ready-slots.ts';
import { runInSandbox } from '#daemon/sandbox/sandbox.ts';
import { findEngine } from '#setup/engine/find.ts';
import { keepOutput } from '#test/support/fake-sandbox.ts';
import { openRealEngine } from '#test/support/real-engine.ts';

afterEach(() => vi.unstubAllEnvs());

test('an engine named for this daemon is not overruled by DOCKER_HOST and its companions', async () => {
  const { host } = await findEngine({ env: process.env });
  vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:1');
  vi.stubEnv('DOCKER_TLS_VERIFY', '1');
  vi.stubEnv('DOCKER_PATH_PREFIX', '/elsewhere');
  vi.stubEnv('DOCKER_CLIENT_TIMEOUT', '1');
  const real = await openRealEngine(host);
  expect(real.facts.os).toBe('linux');
  await real.close();
});

test('an engine is reached by tcp as well', async () => {
  const { socketPath } = await findEngine({ env: process.env });
  if (socketPath === undefined) throw new Error('the engine of this machine has no socket');
  await using forward = await forwardTo(socketPath);
  const real = await openRealEngine(`tcp://127.0.0.1:${forward.port}`);
  const output = keepOutput();
  const result = await runInSandbox(
    {
      engine: real.engine,
      slots: withoutSlots(real.engine),
      log: real.log,
      clock: real.clock,
    },
    {
      permit: real.permit({ command: ['sh', '-c', 'echo over tcp'] }),
      context: { run: 'r-0000000000', task: 'build', attempt: 1 },
      output,
      signal: new AbortController().signal,
    },
  );
  expect(result.exitCode).toBe(0);
  expect(output.text(1)).toBe('over tcp\n');
  await real.close();
});

test('where nothing listens, everything says so', async () => {
  await expect(openRealEngine('unix:///nowhere/engine.sock')).rejects.toMatchObject({
    code: 'engine.unavailable',
  });
});

async function forwardTo(socketPath: string) {
  const server = createServer((client) => {
    const engine = connect(socketPath);
    client.pipe(engine).pipe(client);
    client.on('error', () => engine.destroy());
    engine.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
