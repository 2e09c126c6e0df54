import { expect, test } from 'vitest';
import { examineEscapes, refuseEscapes } from '#daemon/escapes.ts';
import { FakeEngine } from '#test/support/fake-engine.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { Orchestra } from '#test/support/orchestra.ts';

const old = { name: 'runc', version: '1.1.11' };
const debian = { name: 'runc', version: '1.1.5', package: '1.1.5+ds1-1+deb12u1' };

test('a runtime that tasks break out of keeps the daemon from starting, with CVE and remedy', async () => {
  const refused = refuseEscapes([old], [], new MemoryLog());
  await expect(refused).rejects.toMatchObject({
    code: 'runtime.vulnerable',
    message: expect.stringContaining('CVE-2024-21626') as string,
    hint: 'install runc 1.1.12 or newer, or accept_vulnerable_runtime: [CVE-2024-21626]',
  });
});

test('another CVE that is accepted does not help', async () => {
  const refused = refuseEscapes([old], ['CVE-2019-5736'], new MemoryLog());
  await expect(refused).rejects.toMatchObject({ code: 'runtime.vulnerable' });
});

test('what is accepted is on record as a warning', async () => {
  const log = new MemoryLog();
  await refuseEscapes([old], ['CVE-2024-21626'], log);
  expect(log.entries).toMatchObject([
    {
      type: 'runtime.accepted',
      sev: 'warn',
      data: { component: 'runc', version: '1.1.11', cves: ['CVE-2024-21626'] },
    },
  ]);
});

test('a patched package starts without a word in the log, and doctor names what is out of reach', async () => {
  const log = new MemoryLog();
  await refuseEscapes([debian], [], log);
  expect(log.entries).toEqual([]);
  expect(examineEscapes([debian])).toMatchObject({
    status: 'warning',
    message: expect.stringMatching(/out of reach here: .*CVE-2025-31133/) as string,
    remedy: 'install runc 1.4.3 or newer',
  });
});

test('doctor says what it does not know, and when all is well', () => {
  expect(examineEscapes(undefined)).toMatchObject({ status: 'warning' });
  expect(examineEscapes([{ name: 'crun', version: undefined }])).toMatchObject({
    status: 'warning',
    message: expect.stringContaining('unknown version') as string,
  });
  expect(examineEscapes([{ name: 'runc', version: '1.5.2' }])).toMatchObject({ status: 'ok' });
  expect(examineEscapes([old])).toMatchObject({ status: 'problem' });
});

test('the daemon itself does not start on one, and does nothing to the engine but ask', async () => {
  const engine = new FakeEngine();
  const facts = await engine.facts();
  engine.facts = async () => ({ ...facts, components: [old] });
  engine.calls.length = 0;
  await expect(Orchestra.open({ engine })).rejects.toMatchObject({ code: 'runtime.vulnerable' });
  expect(engine.calls).toEqual([]);
});
