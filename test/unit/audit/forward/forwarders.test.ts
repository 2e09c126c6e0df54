import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checksOf, openForwarders } from '#daemon/audit/forward/forwarders.ts';
import type { ForwardSettings } from '#daemon/audit/forward/settings.ts';
import { readConfig } from '#daemon/config.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { all, noise, testLog, type TestLog } from '../fixture.ts';
import { eventually, numbersIn } from './receivers.ts';

const open = (it: TestLog, settings: ForwardSettings[]) =>
  openForwarders({
    log: it.log,
    dir: it.dir,
    settings,
    host: 'box',
    version: '0.1.0',
    now: () => Date.now(),
  });

test('one that cannot begin is on record, and keeps nobody else from beginning', async () => {
  await using it = await testLog();
  await using dir = await tempDir();
  await mkdir(join(it.dir, 'forward'), { mode: 0o700 });
  await writeFile(join(it.dir, 'forward', 'broken'), '{"v":1');
  const to = `file://${join(dir.path, 'log')}`;
  const forwarders = await open(it, [
    { name: 'broken', to, from: 'start' },
    { name: 'sound', to, from: 'start' },
  ]);
  await eventually(async () => (await forwarders.status())[0]?.lag === 0);
  const [sound, broken] = await forwarders.status();
  expect(sound).toMatchObject({ name: 'sound', state: 'current', format: 'jsonl' });
  expect(broken).toMatchObject({ name: 'broken', state: 'broken' });
  expect(checksOf([sound, broken].filter((one) => one !== undefined))).toMatchObject([
    { name: 'forward sound', status: 'ok' },
    { name: 'forward broken', status: 'problem' },
  ]);
  expect(forwarders.needs()).toContainEqual({ from: 0, what: 'forwarder broken cannot begin' });
  await forwarders.close();
  const stalled = (await all(it.log.read())).filter(
    ({ record }) => record.type === 'forward.stalled',
  );
  expect(stalled.map(({ record }) => record.data['forwarder'])).toEqual(['broken']);
});

test('what was recorded last is handed over before the end, and the next one goes on there', async () => {
  await using it = await testLog();
  await using dir = await tempDir();
  const path = join(dir.path, 'log');
  const settings: ForwardSettings[] = [{ name: 'siem', to: `file://${path}`, from: 'start' }];
  for (let life = 0; life < 3; life += 1) {
    const forwarders = await open(it, settings);
    for (let i = 0; i < 5; i += 1) await it.log.append(noise(`${life} ${i}`));
    await forwarders.close(5_000);
  }
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  expect(numbersIn({ texts: lines })).toEqual(Array.from({ length: it.log.size }, (_, i) => i));
});

test('forwarders come from the configuration file, by name, without what they may hold', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'config.yaml');
  const defaults = { socket: '/run/o.sock', state_dir: '/var/lib/o' };
  const read = () => readConfig({ flags: {}, file, defaultFile: file, defaults });
  await writeFile(
    file,
    'forward:\n  - {name: siem, to: "https://siem.example/in?key=secret", format: ocsf, filter: {sev: warn}}\n',
  );
  const config = await read();
  expect(config.forward).toEqual([
    {
      name: 'siem',
      to: 'https://siem.example/in?key=secret',
      format: 'ocsf',
      filter: { sev: 'warn' },
    },
  ]);
  expect(config.settings.find(({ name }) => name === 'forward')).toMatchObject({ value: 'siem' });
  await writeFile(file, 'forward:\n  - {name: siem, to: "tcp://siem.example:514"}\n');
  await expect(read()).rejects.toMatchObject({ code: 'config.invalid' });
});
