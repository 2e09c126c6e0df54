import { z } from 'zod';
import { exitCodes } from '#contract/errors.ts';
import { formatDuration } from '#contract/units.ts';
import { type Group, groups, groupTitles } from './attack.ts';
import type { Outcome } from './run.ts';

const Count = z.number().int().min(0);

/** What a selftest found. `report.json` is this; `report.md` is made from nothing but this. */
export const SelftestReport = z.strictObject({
  version: z.literal(1),
  verdict: z.enum(['held', 'down', 'incomplete']),
  exit_code: Count,
  started_at: z.string(),
  finished_at: z.string(),
  duration_ms: Count,
  product: z.strictObject({
    cli: z.string(),
    daemon: z.string(),
    node_cli: z.string(),
    node_daemon: z.string(),
  }),
  machine: z.strictObject({
    kernel: z.string(),
    engine: z.string(),
    runtimes: z.array(z.string()),
    image: z.string(),
    arch: z.string(),
    checks: z.array(z.strictObject({ name: z.string(), status: z.string(), message: z.string() })),
  }),
  policy: z.strictObject({ name: z.string(), digest: z.string() }),
  /** Which attacks were chosen: all of them, or by group and id. */
  chosen: z.string(),
  counts: z.strictObject({ attacks: Count, held: Count, down: Count, skipped: Count }),
  attacks: z.array(
    z.strictObject({
      id: z.string(),
      group: z.enum(groups),
      title: z.string(),
      attack: z.string(),
      expects: z.string(),
      outcome: z.enum(['held', 'down', 'skipped']),
      happened: z.string(),
      duration_ms: Count,
    }),
  ),
  audit: z.strictObject({
    origin: z.string(),
    first: Count,
    last: Count,
    head: z.string(),
    runs: z.array(z.string()),
  }),
});
export type SelftestReport = z.infer<typeof SelftestReport>;

/**
 * Exit 4 as soon as one wall is down. An attack that could not be made proves nothing, so without
 * it the verdict is `incomplete`, which is not a success.
 */
export function verdictOn(outcomes: readonly Pick<Outcome, 'outcome'>[]): {
  verdict: SelftestReport['verdict'];
  exit: number;
} {
  if (outcomes.some(({ outcome }) => outcome === 'down')) {
    return { verdict: 'down', exit: exitCodes.violation };
  }
  if (outcomes.length === 0 || outcomes.some(({ outcome }) => outcome === 'skipped')) {
    return { verdict: 'incomplete', exit: exitCodes.taskFailed };
  }
  return { verdict: 'held', exit: exitCodes.ok };
}

export function countsOf(outcomes: readonly Pick<Outcome, 'outcome'>[]): SelftestReport['counts'] {
  const count = (wanted: string) => outcomes.filter(({ outcome }) => outcome === wanted).length;
  return {
    attacks: outcomes.length,
    held: count('held'),
    down: count('down'),
    skipped: count('skipped'),
  };
}

export const verdictWords: Readonly<Record<SelftestReport['verdict'], string>> = {
  held: 'EVERY WALL HELD',
  down: 'A WALL IS DOWN',
  incomplete: 'INCOMPLETE: some attacks could not be made, and prove nothing',
};

/** The same for people. Everything that came from outside is text and nothing else in it. */
export function markdownOf(report: SelftestReport): string {
  const { product, machine, policy, audit, counts } = report;
  const runtimes = machine.runtimes.length === 0 ? 'none' : machine.runtimes.join(', ');
  const lines = [
    '# Hostile selftest',
    '',
    `**${verdictWords[report.verdict]}** (exit ${report.exit_code})`,
    '',
    `${counts.attacks} attacks: ${counts.held} held, ${counts.down} down, ${counts.skipped} could not be made.`,
    '',
    ...table(
      ['what', 'value'],
      [
        [
          'time',
          `${report.started_at} to ${report.finished_at}, ${formatDuration(report.duration_ms)}`,
        ],
        ['orchestra', `${product.cli}, Node ${product.node_cli}`],
        ['orchestrad', `${product.daemon}, Node ${product.node_daemon}`],
        ['engine', machine.engine],
        ['runtime of the containers', runtimes],
        ['kernel', `${machine.kernel}, ${machine.arch}`],
        ['image', machine.image],
        ['policy', `${policy.name} ${policy.digest}`],
        ['chosen', report.chosen],
        ['log', `${audit.origin}, records ${audit.first} to ${audit.last}, head ${audit.head}`],
      ],
    ),
    '',
  ];
  const bad = report.attacks.filter(({ outcome }) => outcome !== 'held');
  if (bad.length > 0) {
    lines.push('## What to look at', '');
    for (const each of bad) {
      lines.push(
        `- **${each.outcome}** \`${each.id}\` ${escape(each.title)}: ${escape(each.happened)}`,
      );
    }
    lines.push('');
  }
  for (const group of groups) lines.push(...groupLines(group, report.attacks));
  lines.push('## The machine, as the daemon sees it', '');
  lines.push(
    ...table(
      ['check', 'status', 'message'],
      machine.checks.map(({ name, status, message }) => [name, status, message]),
    ),
  );
  lines.push('', 'Check this report: `orchestra selftest verify DIR`.', '');
  return lines.join('\n');
}

function groupLines(group: Group, all: SelftestReport['attacks']): string[] {
  const attacks = all.filter((each) => each.group === group);
  if (attacks.length === 0) return [];
  const rows = attacks.map((each) => [
    each.outcome,
    each.id,
    `${each.title}. ${each.attack}`,
    each.expects,
    each.happened,
  ]);
  const held = attacks.filter(({ outcome }) => outcome === 'held').length;
  return [
    `## ${groupTitles[group]}: ${held} of ${attacks.length} held`,
    '',
    ...table(['outcome', 'id', 'attack', 'expected', 'what happened'], rows),
    '',
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map(escape).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}

/** What a task printed may stand in here: no markup, no cell, no line of its own. */
export function escape(text: string): string {
  if (text === '---') return text;
  return text
    .replaceAll(
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
      (c) => `U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
    )
    .replaceAll(/[\\`*_[\]<>|~&#]/g, (c) => (c === '<' ? '&lt;' : c === '&' ? '&amp;' : `\\${c}`));
}
