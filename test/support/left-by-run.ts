import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditRow } from '#contract/audit.ts';
import type { Digest } from '#contract/ids.ts';
import type { Client } from '#cli/client/client.ts';
import { FrameReader } from '#contract/output-frames.ts';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import type { Known } from './known-plan.ts';

export type Where = { client: Pick<Client, 'call'>; stateDir: string };

/** What the log says of one run, counted. */
export type Told = {
  attempts: number;
  /** Taken over while they ran, and after they had ended. */
  adopted: number;
  collected: number;
  lost: number;
  unknown: number;
  reran: string[];
  /** Tasks whose success is on record. */
  done: Set<string>;
};

const remark = '[orchestra: some output may be missing here]\n';

/**
 * Whether a closed run left what any run of its plan has to leave: `wrong` names what differs. What
 * a task says while no daemon is there is gone with its last process: then its output has to say so
 * at its end, and to be without a gap before. `cut` counts those.
 */
export async function compare(
  where: Where,
  id: string,
  known: Known,
): Promise<{ wrong: string[]; cut: number }> {
  const view = await where.client.call('runShow', { params: { id } });
  if (view.state !== 'succeeded') {
    const tasks = view.tasks.filter(({ state }) => state !== 'succeeded');
    const why = tasks.map((task) => `${task.id} ${task.state}: ${task.reason ?? ''}`).slice(0, 5);
    return { wrong: [`${id} ${view.state}: ${view.reason ?? ''}; ${why.join('; ')}`], cut: 0 };
  }
  const wrong: string[] = [];
  let cut = 0;
  for (const task of view.tasks) {
    const about = `${id} ${task.id} attempt ${task.attempt}`;
    if (task.layer !== known.layers.get(task.id)) wrong.push(`${about}: layer ${task.layer}`);
    const [artifact] = task.artifacts;
    if (task.artifacts.length !== 1 || artifact?.sha256 !== known.artifacts.get(task.id)) {
      wrong.push(`${about}: artifacts ${JSON.stringify(task.artifacts)}`);
    }
    const said = task.output === undefined ? 'nothing' : outputOf(where.stateDir, task.output);
    const whole = known.says.get(task.id) ?? '';
    const isCut = said.endsWith(remark) && whole.startsWith(said.slice(0, -remark.length));
    if (isCut) cut += 1;
    else if (said !== whole) wrong.push(`${about}: said ${JSON.stringify(said)}`);
  }
  if (view.tasks.length !== known.tasks.length) wrong.push(`${id}: ${view.tasks.length} tasks`);
  return { wrong, cut };
}

function outputOf(stateDir: string, digest: Digest): string {
  const bytes = readFileSync(blobPath(join(stateDir, 'blobs'), digest));
  if (`sha256:${hash('sha256', bytes, 'hex')}` !== digest) return 'a damaged blob';
  return Buffer.concat(new FrameReader().push(bytes).map((part) => part.bytes)).toString();
}

/** Also whether any task began again after its success was on record, in this run or before it. */
export async function toldOf(where: Where, run: string, done = new Set<string>()): Promise<Told> {
  const told: Told = {
    attempts: 0,
    adopted: 0,
    collected: 0,
    lost: 0,
    unknown: 0,
    reran: [],
    done,
  };
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const page: { items: AuditRow[]; next_cursor?: number | undefined } = await where.client.call(
      'auditList',
      { query: { run, limit: 500, cursor } },
    );
    for (const { record } of page.items) {
      const task = record.obj?.['task'] ?? '';
      const outcome = (record.data as { outcome?: string } | undefined)?.outcome;
      if (record.type === 'task.started') {
        told.attempts += 1;
        if (done.has(task)) told.reran.push(`${run} ${task} began again after its success`);
      }
      if (record.type === 'attempt.adopted') {
        if (record.data['found'] === 'running') told.adopted += 1;
        else told.collected += 1;
      }
      if (record.type === 'attempt.unknown') told.unknown += 1;
      if (record.type === 'attempt.ended' && outcome === 'lost') told.lost += 1;
      if (record.type === 'task.finished') {
        if (done.has(task)) told.reran.push(`${run} ${task} finished twice`);
        if (outcome === 'succeeded') done.add(task);
      }
    }
    cursor = page.next_cursor;
  }
  return told;
}
