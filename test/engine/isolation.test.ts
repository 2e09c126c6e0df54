import { mkdirSync } from 'node:fs';
import { get } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OverlayMount } from '#daemon/policy/spec.ts';
import { isolationSuite } from '#test/conformance/isolation.suite.ts';
import { openRealEngine } from '#test/support/real-engine.ts';

isolationSuite('the engine of this machine', {}, () => openRealEngine());

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };
let real: Awaited<ReturnType<typeof openRealEngine>>;

beforeAll(async () => {
  real = await openRealEngine();
});
afterAll(async () => {
  await real.close();
});

test('volumes go with their container', async () => {
  const { id } = await real.engine.create(real.permit({ mounts: [overlay()] }), context);
  expect(await volumes()).toHaveLength(1);
  await real.engine.remove(id, context);
  expect(await volumes()).toEqual([]);
});

function overlay(): OverlayMount {
  const [low, upper, work] = ['low', 'up', 'work'].map((part) => {
    const dir = path.join(real.layers, part);
    mkdirSync(dir);
    return dir;
  }) as [string, string, string];
  return { kind: 'overlay', lower: [low], upper, work, target: '/workspace' };
}

async function volumes(): Promise<string[]> {
  const answer = await new Promise<string>((resolve, reject) => {
    const socketPath = real.address.replace('unix://', '');
    get(
      { socketPath, path: `/volumes?filters={"label":["orchestra.install=${real.install}"]}` },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => (text += part));
        response.on('end', () => resolve(text));
      },
    ).on('error', reject);
  });
  const found = JSON.parse(answer) as { Volumes: { Name: string }[] | null };
  return (found.Volumes ?? []).map(({ Name }) => Name);
}
