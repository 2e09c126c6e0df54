import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { startLocalDaemon } from '#cli/local.ts';
import { tempDir } from '#test/support/temp-dir.ts';

/** A program that answers on its socket, notes its pid and leaves when asked to. */
const answering = `
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
const at = (name) => process.argv[process.argv.indexOf(name) + 1];
writeFileSync(at('--state-dir') + '/pid', String(process.pid));
const server = createServer((_, response) => response.end('{"ok":true}'));
server.listen(at('--socket'));
process.on('SIGTERM', () => { writeFileSync(at('--state-dir') + '/asked', ''); process.exit(0); });
`;
const failing = `
process.stderr.write(JSON.stringify({ level: 60, msg: 'no engine \\u001b[2J here' }) + '\\n');
process.exit(5);
`;
const silent = `setInterval(() => {}, 1000);`;

async function start(
  script: string,
  dir: string,
  cleanup: AsyncDisposableStack,
  readyMs = 60_000,
): Promise<{ socketPath: string; stateDir: string }> {
  const entry = path.join(dir, 'entry.mjs');
  await writeFile(entry, script);
  const stateDir = path.join(dir, 'state');
  const socketPath = await startLocalDaemon(
    { env: process.env, stateDir, entry, readyMs, progress: () => undefined },
    cleanup,
  );
  return { socketPath, stateDir };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('the daemon is asked to stop, waited for, and leaves no socket behind', async () => {
  await using dir = await tempDir();
  const cleanup = new AsyncDisposableStack();
  const { socketPath, stateDir } = await start(answering, dir.path, cleanup);
  const pid = Number(await readFile(path.join(stateDir, 'pid'), 'utf8'));
  expect(isAlive(pid)).toBe(true);
  await cleanup.disposeAsync();
  expect(isAlive(pid)).toBe(false);
  expect(existsSync(path.join(stateDir, 'asked'))).toBe(true);
  expect(existsSync(path.dirname(socketPath))).toBe(false);
});

test('a daemon that ends at once is told with its last words', async () => {
  await using dir = await tempDir();
  await using cleanup = new AsyncDisposableStack();
  await expect(start(failing, dir.path, cleanup)).rejects.toMatchObject({
    code: 'daemon.unreachable',
    message: expect.stringContaining('it ended with 5') as string,
    places: [{ message: 'no engine \u001b[2J here' }],
  });
});

test('a daemon that never answers is given up and stopped', async () => {
  await using dir = await tempDir();
  await using cleanup = new AsyncDisposableStack();
  await expect(start(silent, dir.path, cleanup, 1_000)).rejects.toMatchObject({
    message: expect.stringContaining('did not answer within 1s') as string,
  });
});
