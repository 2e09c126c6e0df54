import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { OrchestraError } from '#contract/errors.ts';
import { readConfig } from '#daemon/config.ts';
import { tempDir } from '#test/support/temp-dir.ts';

async function read(text: string) {
  await using dir = await tempDir();
  const file = join(dir.path, 'orchestrad.yaml');
  await writeFile(file, text);
  const defaults = { socket: '/default/api.sock', state_dir: '/default/state' };
  return await readConfig({ flags: {}, file, defaultFile: '/nowhere', defaults });
}

const claude = [
  'planners:',
  '  - kind: anthropic',
  '    name: claude',
  '    model: m',
  '    key: { file: /etc/orchestra/claude.key }',
  '    price: { input: 2.5, output: 10.75 }',
  '    budget: { cost: 0.25, time: 40s }',
  '',
].join('\n');

test('a planner that may not be is refused at its line', async () => {
  const text = claude.replace('model: m', 'model: m\n    base_url: http://api.example');
  const error = await read(text).then(
    () => expect.fail('it was taken'),
    (found: OrchestraError) => found,
  );
  expect(error.code).toBe('config.invalid');
  expect(error.places[0]).toMatchObject({ line: 5, message: expect.stringContaining('TLS') });
});

test('without the section the rules plan, within two minutes', async () => {
  const config = await read('open_runs: 3\n');
  expect(config.planners).toEqual([{ kind: 'rules', name: 'rules' }]);
  expect(config.planWithinMs).toBe(120_000);
});

test('prices and budgets are read, and each of them changes the digest of the settings', async () => {
  const { planners, digest } = await read(claude);
  expect(planners[0]).toMatchObject({
    name: 'claude',
    price: { input: 2.5, output: 10.75 },
    budget: { costMicro: 250_000, timeMs: 40_000 },
    baseUrl: new URL('https://api.anthropic.com'),
  });
  expect((await read(claude.replace('10.75', '10.5'))).digest).not.toBe(digest);
  expect((await read(`${claude}plan_within: 1m\n`)).digest).not.toBe(digest);
});

test('settings that are shown name planners, not their addresses or where their keys lie', async () => {
  const { settings } = await read(claude);
  const rows = settings.filter(({ name }) => name.startsWith('plan'));
  expect(rows.map(({ name, value }) => `${name} ${value}`)).toEqual([
    'plan_within 2m',
    'planners claude',
  ]);
  expect(JSON.stringify(settings)).not.toContain('claude.key');
});
