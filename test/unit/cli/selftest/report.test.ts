import { Script } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { groups } from '#cli/selftest/attack.ts';
import { attacks } from '#cli/selftest/attacks/index.ts';
import {
  countsOf,
  escape,
  markdownOf,
  SelftestReport,
  verdictOn,
  type SelftestReport as Report,
} from '#cli/selftest/report.ts';

const outcome = (what: 'held' | 'down' | 'skipped') => ({ outcome: what });

test('one wall that is down makes it exit 4, whatever else held', () => {
  const found = [outcome('held'), outcome('skipped'), outcome('down')];
  expect(verdictOn(found)).toEqual({ verdict: 'down', exit: 4 });
  expect(countsOf(found)).toEqual({ attacks: 3, held: 1, down: 1, skipped: 1 });
});

test('an attack that could not be made is no success, and neither is none at all', () => {
  expect(verdictOn([outcome('held'), outcome('skipped')])).toEqual({
    verdict: 'incomplete',
    exit: 2,
  });
  expect(verdictOn([])).toEqual({ verdict: 'incomplete', exit: 2 });
});

test('only when every wall held is it exit 0', () => {
  expect(verdictOn([outcome('held'), outcome('held')])).toEqual({ verdict: 'held', exit: 0 });
});

const report = (happened: string): Report => ({
  version: 1,
  verdict: 'down',
  exit_code: 4,
  started_at: '2026-01-01T00:00:00.000Z',
  finished_at: '2026-01-01T00:02:00.000Z',
  duration_ms: 120_000,
  product: { cli: '1.0.0', daemon: '1.0.0', node_cli: 'v24', node_daemon: 'v24' },
  machine: {
    kernel: '6.1',
    engine: 'docker 20',
    runtimes: ['runc'],
    image: 'node:20',
    arch: 'x64',
    checks: [{ name: 'engine', status: 'ok', message: 'there' }],
  },
  policy: { name: 'default', digest: 'sha256:0' },
  chosen: 'all attacks',
  counts: { attacks: 1, held: 0, down: 1, skipped: 0 },
  attacks: [
    {
      id: 'escape.mount',
      group: 'escape',
      title: 'Mount a file system',
      attack: 'Mounts.',
      expects: 'Refused.',
      outcome: 'down',
      happened,
      duration_ms: 1,
    },
  ],
  audit: { origin: 'log', first: 1, last: 2, head: 'h', runs: ['r-0123456789'] },
});

test('a wall that is down stands at the top of the report, by its name', () => {
  const text = markdownOf(report('done'));
  expect(SelftestReport.parse(report('done'))).toEqual(report('done'));
  expect(text).toContain('**A WALL IS DOWN** (exit 4)');
  expect(text).toContain('- **down** `escape.mount` Mount a file system: done');
});

test('what a task printed makes no line, no cell, no heading and no markup in the report', () => {
  const evil = fc.string({
    unit: fc.constantFrom(...Array.from('#|<>[]()`*_~\\&\n\r\u001b\u202eabc -')),
  });
  const shape = (text: string) =>
    text.split('\n').map((line) => `${line[0] ?? ''}${line.split(/(?<!\\)\|/).length}`);
  const plain = shape(markdownOf(report('x')));
  fc.assert(
    fc.property(evil, (text) => {
      const shown = markdownOf(report(text));
      expect(shape(shown)).toEqual(plain);
      expect(shown).not.toContain('\u001b');
      expect(shown).not.toMatch(/<[a-c]|\u202e|(?<!\\)\[[a-c]*\]\(/);
    }),
  );
  expect(escape('<img src=x>|')).toBe('&lt;img src=x\\>\\|');
});

test('there are more than sixty attacks, every group has some, and no id is there twice', () => {
  const ids = groups.flatMap((group) => attacks[group].map(({ id }) => id));
  expect(ids.length).toBeGreaterThanOrEqual(60);
  expect(new Set(ids).size).toBe(ids.length);
  for (const group of groups) {
    expect(attacks[group].length).toBeGreaterThan(5);
    for (const { id, attack, expects } of attacks[group]) {
      expect(id).toMatch(new RegExp(`^${group}\\.[a-z0-9-]+$`));
      expect(attack.length * expects.length).toBeGreaterThan(100);
    }
  }
});

test('every script of an attack is a script', () => {
  const scripts = groups.flatMap((group) =>
    attacks[group].flatMap((attack) => ('script' in attack ? [attack.script] : [])),
  );
  expect(scripts.length).toBeGreaterThan(50);
  for (const script of scripts) {
    expect(() => new Script(`(async () => {${script}\n})`)).not.toThrow();
  }
});
