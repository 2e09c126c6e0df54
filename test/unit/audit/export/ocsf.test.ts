import { hash } from 'node:crypto';
import { expect, test } from 'vitest';
import { recordTypes } from '#contract/records.ts';
import { ocsfMap } from '#daemon/audit/export/ocsf-map.ts';
import { ocsf } from '#daemon/audit/export/ocsf.ts';
import { ocsfComplaints } from '#test/support/ocsf.ts';
import { exportable, sampleRecords } from '#test/support/sample-records.ts';

const about = { origin: 'box/orchestra/1', host: 'box', version: '0.1.0' };
const eventOf = (line: ReturnType<typeof exportable>) =>
  JSON.parse(ocsf.record(line, about)) as Record<string, unknown>;
const outcomes = ['ok', 'denied', 'failed', 'unknown'] as const;

test('every type of record that there is has its place among the OCSF classes', () => {
  const missing = Object.keys(recordTypes).filter((type) => !Object.hasOwn(ocsfMap, type));
  expect(missing).toEqual([]);
});

test.each([false, true])(
  'an event of every type obeys the facts of OCSF 1.8.0 (all fields: %s)',
  (full) => {
    const complaints = sampleRecords({ full }).flatMap(({ record }) =>
      outcomes.flatMap((outcome) =>
        ocsfComplaints(eventOf(exportable({ ...record, outcome }))).map(
          (why) => `${record.type} ${outcome}: ${why}`,
        ),
      ),
    );
    expect(complaints).toEqual([]);
  },
);

test('the checker of these tests finds what is missing, misspelled or of another type', () => {
  const [sample] = sampleRecords({ full: true });
  const sound = eventOf(sample ?? expect.fail());
  const device = { type_id: 77 };
  for (const [wrong, said] of [
    [{ device }, 'type_id is 77'],
    [{ device: {} }, 'device.type_id is missing'],
    [{ colour: 'red' }, 'colour is not known'],
    [{ time: 'noon' }, 'time is no whole number'],
    [{ type_uid: 1 }, 'type_uid is not'],
    [{ class_uid: 4711 }, 'there is no class'],
    [{ action_id: 1 }, 'not known'],
  ] as const) {
    expect(ocsfComplaints({ ...sound, ...wrong }).join()).toContain(said);
  }
});

test('a type of a later version is still an event, under no activity that it may not be', () => {
  const [sample] = sampleRecords({ full: true });
  const record = { ...(sample ?? expect.fail()).record, type: 'constructor' };
  const event = eventOf(exportable(record));
  expect(ocsfComplaints(event)).toEqual([]);
  expect(event).toMatchObject({ class_uid: 1008, activity_id: 99, activity_name: 'Other' });
});

test('an event carries the line, its number and both hashes, so that it can be found again', () => {
  const hostile = sampleRecords({ full: true, words: 'é\u202e\u0000\n"\\]|=cmd' });
  for (const { record, line, hash: leaf } of hostile) {
    const event = eventOf({ record, line, hash: leaf });
    expect(event).toMatchObject({
      raw_data: line,
      raw_data_hash: { algorithm_id: 3, value: hash('sha256', line, 'hex') },
      metadata: { version: '1.8.0', sequence: record.seq, uid: leaf, event_code: record.type },
    });
  }
});

test('what policy said is said as allowed or blocked', () => {
  const decision = sampleRecords({ full: false }).find(
    ({ record }) => record.type === 'policy.decided',
  );
  const { record } = decision ?? expect.fail();
  const denied = exportable({ ...record, data: { ...record.data, decision: 'deny' } });
  expect(eventOf(decision ?? expect.fail())).toMatchObject({ action_id: 1, disposition_id: 1 });
  expect(eventOf(denied)).toMatchObject({
    action_id: 2,
    disposition_id: 2,
    disposition: 'Blocked',
  });
});
