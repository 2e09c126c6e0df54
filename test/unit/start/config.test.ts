import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { OrchestraError } from '#contract/errors.ts';
import { readConfig, type ConfigSources } from '#daemon/config.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const defaults = { socket: '/default/api.sock', state_dir: '/default/state' };

/** Reads the settings with this text as the file of `--config`. */
async function read(text: string | Uint8Array, sources: Partial<ConfigSources> = {}) {
  await using dir = await tempDir();
  const file = join(dir.path, 'orchestrad.yaml');
  await writeFile(file, text);
  return await readConfig({
    flags: {},
    file,
    defaultFile: '/nowhere/x.yaml',
    defaults,
    ...sources,
  });
}

async function refusal(text: string | Uint8Array): Promise<OrchestraError> {
  return read(text).then(
    () => expect.fail('it was taken'),
    (error: OrchestraError) => error,
  );
}

test.each([
  ['an unknown key', 'policy: ci\ntask_at_once: 3\n', 2, 'did you mean tasks_at_once?'],
  ['a value of another type', 'socket: /a\nopen_runs: many\n', 2, undefined],
  ['a number out of range', '\n\nopen_runs: 0\n', 3, undefined],
  ['a relative path', 'socket: api.sock\n', 1, undefined],
  ['a NUL in a path', 'socket: "/a\\0b"\n', 1, undefined],
  ['a policy that climbs', 'policy: ../x\n', 1, undefined],
  ['an escape without its name', 'accept_vulnerable_runtime: [all]\n', 1, undefined],
  ['a wrong word', '# levels\nlog_level: inof\n', 2, 'did you mean info?'],
  ['half a document', 'socket: [\n', undefined, undefined],
  ['the same key twice', 'policy: a\npolicy: b\n', 2, undefined],
  ['a hostile key', '__proto__: { policy: x }\n', 1, undefined],
])('%s is refused at its line', async (_what, text, line, hint) => {
  const error = await refusal(text);
  expect(error.code).toBe('config.invalid');
  const [place] = error.places;
  expect(place?.file).toMatch(/orchestrad\.yaml$/);
  if (line !== undefined) expect(place?.line).toBe(line);
  if (hint !== undefined) expect(place?.hint).toBe(hint);
});

test('every problem is named, not the first', async () => {
  const { places } = await refusal('sockett: /a\nopen_runs: 0\nlog_level: loud\n');
  expect(new Set(places.map(({ line }) => line))).toEqual(new Set([1, 2, 3]));
});

test('a file beyond its size, or that is no text, is refused', async () => {
  expect((await refusal(`# ${'x'.repeat(300 * 1024)}`)).code).toBe('config.invalid');
  expect((await refusal(Buffer.from([0xff, 0xfe, 0x00]))).code).toBe('config.invalid');
});

test('a file that was named has to be there, the usual one need not', async () => {
  const sources = { flags: {}, defaultFile: '/nowhere/x.yaml', defaults };
  await expect(readConfig({ ...sources, file: '/nowhere/y.yaml' })).rejects.toMatchObject({
    code: 'config.invalid',
    hint: expect.stringContaining('--config') as string,
  });
  const config = await readConfig({ ...sources, file: undefined });
  expect(config).toMatchObject({ socket: defaults.socket, policy: 'default', ceiling: 'default' });
});

test('an escape that is accepted is told among the settings', async () => {
  const config = await read('accept_vulnerable_runtime: [CVE-2024-21626, CVE-2019-5736]\n');
  expect(config.acceptedEscapes).toEqual(['CVE-2024-21626', 'CVE-2019-5736']);
  expect(config.settings).toContainEqual({
    name: 'accept_vulnerable_runtime',
    value: 'CVE-2024-21626 CVE-2019-5736',
    origin: expect.stringContaining('orchestrad.yaml') as string,
  });
});

test('a flag wins over the file and the file over the default, and each says where it is from', async () => {
  const config = await read('socket: /file.sock\npolicy: ci\nstate_dir: /file\n', {
    flags: { socket: '/flag.sock' },
  });
  expect(config).toMatchObject({ socket: '/flag.sock', stateDir: '/file', policy: 'ci' });
  const origins = Object.fromEntries(config.settings.map(({ name, origin }) => [name, origin]));
  expect(origins['socket']).toBe('flag');
  expect(origins['policy']).toMatch(/orchestrad\.yaml$/);
  expect(origins['ceiling']).toBe('default');
});

test('an empty file says nothing', async () => {
  const [empty, comment] = [await read(''), await read('# nothing\n')];
  expect(empty.digest).toBe(comment.digest);
});

test('the digest is that of what is in force, wherever it was said', async () => {
  const [inFile, byFlag, other] = [
    await read('socket: /a\n'),
    await read('', { flags: { socket: '/a' } }),
    await read('socket: /b\n'),
  ];
  expect(inFile.digest).toBe(byFlag.digest);
  expect(inFile.digest).not.toBe(other.digest);
});
