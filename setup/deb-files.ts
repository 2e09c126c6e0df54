import { spawn } from 'node:child_process';
import { tarFiles, type TarFile } from './tar-files.ts';

const limits = { files: 100_000, bytes: 2 * 1024 ** 3 };
const deadlineMs = 5 * 60_000;

/**
 * Every file of a Debian package by its path, with its hash: what gets installed, and what runs as
 * root meanwhile (`DEBIAN/postinst` and its like). Needs dpkg-deb, which unpacks and runs nothing.
 */
export async function debFiles(file: string): Promise<Map<string, string>> {
  const [data, control] = [await part(file, '--fsys-tarfile'), await part(file, '--ctrl-tarfile')];
  return new Map([
    ...[...data.values()].map(({ name, sha256 }) => [name, sha256] as const),
    ...[...control.values()].map(({ name, sha256 }) => [`DEBIAN/${name}`, sha256] as const),
  ]);
}

async function part(file: string, which: string): Promise<Map<string, TarFile>> {
  const child = spawn('dpkg-deb', [which, file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: deadlineMs,
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-500);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  ended.catch(() => undefined);
  try {
    const files = await tarFiles(child.stdout, limits);
    const code = await ended;
    if (code !== 0) throw new Error(`dpkg-deb ended with ${code}: ${words.trim()}`);
    return files;
  } catch (error) {
    child.kill('SIGKILL');
    // That there is no such program is the story, not the pipe that broke.
    await ended;
    throw error;
  }
}
