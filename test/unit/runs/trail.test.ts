import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordTypes, type AnyRecord } from '#contract/records.ts';
import type { AnyEntry } from '#daemon/audit/types.ts';
import { inWords, type Gate, type Moment } from '#test/support/orchestra.ts';
import { openTheatre, scenarios, type Scenario } from './scenarios.ts';

const root = new URL('../../..', import.meta.url).pathname;
const pass: Gate = () => true;
const gate = { now: pass };
let theatre: Awaited<ReturnType<typeof openTheatre>>;
/** Each record call that a scenario made, as place and words, with the scenario that made it. */
const calls = new Map<string, Scenario>();

beforeAll(async () => {
  theatre = await openTheatre(gate);
});
afterAll(async () => {
  gate.now = pass;
  await theatre[Symbol.asyncDispose]();
});

/** Plays a scenario; everything that is wrong with what it left behind. */
async function complaintsAbout(scenario: Scenario, through: Gate): Promise<string[]> {
  gate.now = through;
  theatre.shared.moments.length = 0;
  let records: AnyRecord[];
  try {
    records = await scenario.play(theatre);
  } catch (error) {
    return [String(error)];
  } finally {
    gate.now = pass;
    await theatre.clear();
  }
  return [
    ...differences(records.map(inWords), scenario.trail),
    ...disorder(theatre.shared.moments),
    ...unpaired(records),
  ];
}

function differences(all: readonly string[], trail: readonly string[]): string[] {
  const [got, wanted] = [removalsLast(all), removalsLast(trail)];
  return JSON.stringify(got) === JSON.stringify(wanted)
    ? []
    : [`the trail is\n  ${got.join('\n  ')}\nand should be\n  ${wanted.join('\n  ')}`];
}

/**
 * A sandbox that is over is taken away beside what follows in the run: sooner or later. A checkpoint
 * between comes where a run takes a second or more; the last one comes always.
 */
function removalsLast(words: readonly string[]): string[] {
  const isRemoval = (one: string) => one.startsWith('container.remove ');
  const isBetween = (one: string, at: number) =>
    one === 'checkpoint.saved' && words[at + 1]?.startsWith('run.closed') !== true;
  const kept = words.filter((one, at) => !isBetween(one, at));
  return [...kept.filter((one) => !isRemoval(one)), ...kept.filter(isRemoval)];
}

const effects: Readonly<Record<string, string>> = {
  create: 'container.create',
  fill: 'container.fill',
  start: 'container.start',
  release: 'container.release',
  'signal SIGTERM': 'container.signal',
  'signal SIGKILL': 'container.signal',
  freeze: 'container.freeze',
  thaw: 'container.thaw',
  remove: 'container.remove',
};

/** What happened without an intent that was durable then and has no result yet. */
function disorder(moments: readonly Moment[]): string[] {
  const open = new Map<string, string>();
  const seen = new Set<string>();
  return moments.flatMap((moment) => {
    if (moment.what === 'record') {
      const { type, stage, req = '', run = '', obj } = moment.record;
      if (stage === 'intent') open.set(req, type);
      if (stage === 'result') open.delete(req);
      const task = obj?.['task'] ?? '';
      // A decision about no single task is one about the whole plan.
      const before = type === 'policy.decided' && task === '' ? 'plan.requested' : orders[type];
      seen.add(`${run} ${type}`).add(`${run} ${type} ${task}`);
      if (before === undefined || run === '' || stage === 'result') return [];
      // What counts from an earlier run was collected there.
      const isOfEarlier = type === 'artifact.collected' && !seen.has(`${run} task.started ${task}`);
      const isThere =
        isOfEarlier || seen.has(`${run} ${before}`) || seen.has(`${run} ${before} ${task}`);
      return isThere ? [] : [`${type} came before ${before}`];
    }
    const act = moment.what === 'registry' ? 'package.fetched' : effects[moment.call];
    if (act === undefined) return [];
    return [...open.values()].includes(act) ? [] : [`${JSON.stringify(moment)} has no intent`];
  });
}

/** What has to be on record before the other is, in the same run. */
const orders: Readonly<Record<string, string>> = {
  'plan.requested': 'run.submitted',
  'run.accepted': 'plan.made',
  'provision.requested': 'run.accepted',
  'package.fetched': 'provision.requested',
  'policy.decided': 'run.accepted',
  'task.started': 'policy.decided',
  'container.create': 'task.started',
  'sandbox.receipt': 'container.create',
  'container.start': 'container.create',
  'container.release': 'sandbox.receipt',
  'container.exited': 'container.release',
  'artifact.collected': 'container.exited',
  'layer.sealed': 'container.exited',
};

/** Acts that were announced and never told the end of. */
function unpaired(records: readonly AnyRecord[]): string[] {
  const ends = new Set(records.flatMap(({ stage, req }) => (stage === 'result' ? [req] : [])));
  return records
    .filter(({ stage, req }) => stage === 'intent' && !ends.has(req))
    .map((record) => `${inWords(record)} has no result`);
}

const callOf = (entry: AnyEntry, site: string) =>
  `${site} ${inWords(entry.obj === undefined ? entry : { ...entry, obj: {} })}`;

describe('the trail of', () => {
  test.each(scenarios)('$name', async (scenario) => {
    const made = new Set<string>();
    const complaints = await complaintsAbout(scenario, (entry, site) => {
      made.add(callOf(entry, site));
      return true;
    });
    for (const call of made) if (!calls.has(call)) calls.set(call, scenario);
    expect(complaints.join('\n')).toBe('');
  });
});

describe('no record call can go', () => {
  test('every call of the daemon to the log is made by a scenario, or tested where it says', () => {
    const made = new Set([...calls.keys()].map((call) => call.split(' ')[0]));
    const unknown = recordCalls().filter(
      (site) => !made.has(site) && elsewhere[site.split(':')[0] ?? ''] === undefined,
    );
    expect(unknown).toEqual([]);
    expect(calls.size).toBeGreaterThan(60);
  });

  test('each type of record is emitted by a scenario, or tested where it says', () => {
    const emitted = new Set(scenarios.flatMap(({ trail }) => trail.map(typeIn)));
    const missing = Object.keys(recordTypes).filter((type) => !emitted.has(type));
    expect(missing.toSorted()).toEqual(Object.keys(testedElsewhere).toSorted());
    for (const [type, file] of Object.entries(testedElsewhere)) {
      expect(readFileSync(join(root, file), 'utf8'), `${type} in ${file}`).toContain(`'${type}'`);
    }
  });

  test(
    'a scenario whose record call is taken away does not leave its trail',
    { timeout: 120_000 },
    async () => {
      const unnoticed: string[] = [];
      for (const [call, scenario] of calls) {
        if (besides.includes(call.split(':')[0] ?? '')) continue;
        const complaints = await complaintsAbout(
          scenario,
          (entry, site) => callOf(entry, site) !== call,
        );
        if (complaints.length === 0) unnoticed.push(`${call} in ${scenario.name}`);
      }
      expect(unnoticed).toEqual([]);
    },
  );
});

/** Record calls that only somebody on a socket makes, by file. */
const elsewhere: Readonly<Record<string, string>> = {
  'daemon/http/app.ts': 'test/unit/http/edge.test.ts',
  'daemon/planner/models/asker.ts': 'test/unit/runs/plan-words.test.ts',
  'daemon/http/routes/vault.ts': 'test/unit/runs/personal-data.test.ts',
  'daemon/access/refusals.ts': 'test/unit/access/refusals.test.ts',
  'daemon/access/tokens-office.ts': 'test/unit/access/tokens-office.test.ts',
  'daemon/runs/requests/people.ts': 'test/unit/runs/requests.test.ts',
  'daemon/runs/requests/requests.ts': 'test/unit/runs/requests.test.ts',
  'daemon/runs/slot.ts': 'test/engine/slots.test.ts',
  'daemon/runs/prune/pruner.ts': 'test/unit/runs/prune/pruner.test.ts',
  'daemon/runs/begin-again.ts': 'test/unit/runs/go-on.test.ts',
  'daemon/runs/take-over.ts': 'test/e2e/taken-over.test.ts',
  'daemon/runs/rate.ts': 'test/unit/runs/learning.test.ts',
  'daemon/runs/rehearsal.ts': 'test/unit/runs/autonomous.test.ts',
  'daemon/runs/replan/replanner.ts': 'test/unit/runs/replan/replan.test.ts',
  'daemon/engine/guard.ts': 'test/unit/engine/adopt.test.ts',
  'daemon/runs/recover.ts': 'test/unit/runs/go-on.test.ts',
  'daemon/runs/failures/tell-components.ts': 'test/unit/runs/failures/retries.test.ts',
  'daemon/runs/checkpoints.ts': 'test/unit/runs/checkpoint.test.ts',
  'daemon/engine/exits.ts': 'test/unit/engine/exits.test.ts',
  'daemon/runs/tools/probe.ts': 'test/unit/runs/tools/tools.test.ts',
  'daemon/policy/book.ts': 'test/unit/policy/reload.test.ts',
  'daemon/runs/tools/tools.ts': 'test/unit/runs/tools/tools.test.ts',
};

/** What belongs to no run, and comes when it comes. */
const besides = [
  'daemon/runs/failures/tell-components.ts',
  'daemon/runs/checkpoints.ts',
  'daemon/runs/provenance/provenance.ts',
];

const testedElsewhere: Readonly<Record<string, string>> = {
  'run.rated': 'test/unit/runs/learning.test.ts',
  'learning.forgotten': 'test/unit/runs/learning.test.ts',
  'run.stands': 'test/unit/runs/requests.test.ts',
  'run.goes_on': 'test/unit/runs/requests.test.ts',
  'plan.revised': 'test/unit/runs/replan/replan.test.ts',
  'replan.refused': 'test/unit/runs/replan/replan.test.ts',
  'plan.rehearsed': 'test/unit/runs/autonomous.test.ts',
  'planner.asked': 'test/unit/runs/plan-words.test.ts',
  'planner.answered': 'test/unit/runs/plan-words.test.ts',
  'policy.removed': 'test/unit/policy/reload.test.ts',
  'evidence.made': 'test/unit/audit/evidence/evidence.test.ts',
  'tools.advertised': 'test/unit/runs/tools/tools.test.ts',
  'tool.allowed': 'test/unit/runs/tools/growth.test.ts',
  'tool.withdrawn': 'test/unit/runs/tools/growth.test.ts',
  'anchor.requested': 'test/unit/audit/anchoring/hooks.test.ts',
  'anchor.sent': 'test/unit/audit/anchoring/hooks.test.ts',
  'anchor.failed': 'test/unit/audit/anchoring/hooks.test.ts',
  'witness.cosigned': 'test/unit/audit/anchoring/witnesses.test.ts',
  'witness.refused': 'test/unit/audit/anchoring/witnesses.test.ts',
  'log.unanchored': 'test/unit/audit/anchoring/unanchored.test.ts',
  'log.pruned': 'test/unit/audit/retention/prune.test.ts',
  'log.carried': 'test/unit/audit/retention/prune.test.ts',
  'log.hold.set': 'test/unit/audit/retention/prune.test.ts',
  'log.hold.cleared': 'test/unit/audit/retention/prune.test.ts',
  'log.extracted': 'test/unit/audit/extract/extractor.test.ts',
  'log.exported': 'test/unit/audit/export/export.test.ts',
  'forward.stalled': 'test/unit/audit/forward/forwarder.test.ts',
  'forward.resumed': 'test/unit/audit/forward/forwarder.test.ts',
  'artifact.attested': 'test/unit/runs/provenance.test.ts',
  'log.heartbeat': 'test/unit/audit/tree/trail.test.ts',
  'key.rotated': 'test/unit/audit/tree/trail.test.ts',
  'key.destroyed': 'test/unit/audit/tree/trail.test.ts',
  'data.disclosed': 'test/unit/audit/vault/vault.test.ts',
  'data.erased': 'test/unit/audit/vault/vault.test.ts',
  'store.prune': 'test/unit/runs/prune/pruner.test.ts',
  'run.pruned': 'test/unit/runs/prune/pruner.test.ts',
  'container.confirmed': 'test/unit/engine/exits.test.ts',
  'container.fill': 'test/unit/engine/guard.test.ts',
  'container.adopted': 'test/engine/adopt.test.ts',
  'attempt.adopted': 'test/e2e/taken-over.test.ts',
  'component.opened': 'test/unit/runs/failures/circuits.test.ts',
  'component.closed': 'test/unit/runs/failures/circuits.test.ts',
  'api.rejected': 'test/unit/http/edge.test.ts',
  'access.denied': 'test/unit/http/access.test.ts',
  'quota.refused': 'test/unit/access/quotas.test.ts',
  'auth.succeeded': 'test/unit/http/edge.test.ts',
  'auth.failed': 'test/unit/http/tcp.test.ts',
  'token.created': 'test/unit/access/tokens-office.test.ts',
  'token.revoked': 'test/unit/access/tokens-office.test.ts',
  'daemon.error': 'test/unit/http/edge.test.ts',
  'attestation.made': 'test/unit/audit/attest.test.ts',
  'clock.jump': 'test/unit/audit/append.test.ts',
};

const typeIn = (words: string) => words.split(' ')[0] ?? '';

/** Where the daemon's source calls the log, outside of the log itself. */
function recordCalls(): string[] {
  return readdirSync(join(root, 'daemon'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.startsWith('audit/'))
    .flatMap((name) =>
      readFileSync(join(root, 'daemon', name), 'utf8')
        .split('\n')
        .flatMap((line, i) =>
          /\blog\??\.append(?:All)?\(/.test(line) ? [`daemon/${name}:${i + 1}`] : [],
        ),
    );
}
