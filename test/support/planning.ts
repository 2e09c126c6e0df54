import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '#daemon/base/clock.ts';
import { makeProfile, type ProfileEntry } from '#daemon/planner/profile.ts';
import { Planners, type WordsRequest } from '#daemon/planner/models/planners.ts';
import {
  PlannerList,
  plannerSettings,
  type PlannerEntry,
} from '#daemon/planner/models/settings.ts';
import { SpentToday } from '#daemon/planner/models/spent-today.ts';
import { surveyOf } from '#daemon/planner/models/survey.ts';
import { MemoryLog } from './memory-log.ts';
import type { ModelServer, Protocol } from './model-server.ts';
import { shippedPolicy, testImage, testImageTools } from './policies.ts';

export const testKey = 'sk-test-5f0c2b7e9d';

/** A file that a key may be read from. */
export function keyFile(dir: string, text = testKey): string {
  const path = join(dir, `key-${Math.random().toString(36).slice(2)}`);
  writeFileSync(path, `${text}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
  return path;
}

/** Settings of a planner that asks a server of the test. */
export function planner(
  protocol: Protocol,
  server: Pick<ModelServer, 'origin'>,
  file: string,
  more: Partial<PlannerEntry> = {},
): PlannerEntry {
  return {
    kind: protocol.kind,
    name: protocol.kind,
    model: 'scripted',
    base_url: protocol.kind === 'anthropic' ? server.origin : `${server.origin}/v1`,
    key: { file },
    ...more,
  };
}

export function plannersOf(entries: PlannerEntry[], withinMs = 20_000, credentials?: string) {
  const log = new MemoryLog();
  const spent = new SpentToday();
  const planners = new Planners({
    settings: plannerSettings(PlannerList.parse(entries)),
    withinMs,
    keys: { uid: process.getuid?.() ?? 0, credentials },
    clock: systemClock(),
    log,
    spent,
    pauseMs: 5,
  });
  return { planners, log, spent };
}

export type Files = Record<string, string>;

export const project: Files = {
  'package.json': JSON.stringify({ name: 'x', scripts: { build: 'tsc -p .', test: 'vitest run' } }),
  'src/main.ts': 'secret body of a file',
};

/** What is asked of planners for a workspace of these files. */
export async function wordsFor(
  intent: string,
  files: Files = project,
  more: Partial<WordsRequest> = {},
): Promise<WordsRequest> {
  const entries = Object.entries(files).map(([path, text]): ProfileEntry => {
    return { path, type: 'file', size: text.length };
  });
  const read = (path: string) => Promise.resolve(Buffer.from(files[path] ?? ''));
  return {
    intent,
    profile: await makeProfile(entries, read),
    policy: shippedPolicy('default'),
    image: testImage,
    imageTools: testImageTools,
    survey: () => surveyOf(entries),
    review: () => Promise.resolve([]),
    ...more,
  };
}

/** A task as a model says it, with everything that it has to say. */
export function said(task: Record<string, unknown>) {
  return {
    id: 'build',
    title: 'Build',
    why: 'asked for',
    tool: 'npm',
    args: ['run', 'build'],
    env: [],
    cwd: '.',
    deps: [],
    inputs: [],
    outputs: [],
    side_effects: false,
    retries: null,
    timeout_seconds: null,
    on_failure: 'stop',
    ...task,
  };
}

export function saidPlan(...tasks: Record<string, unknown>[]): string {
  return JSON.stringify({ assumptions: [], tasks: tasks.map(said) });
}
