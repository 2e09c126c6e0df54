import { hash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { findEngine } from '#setup/engine/find.ts';

export type Container = { Id: string; State: string; Labels: Record<string, string> };

/**
 * Containers of a run as the engine itself lists them, stopped ones too. Which they are the log
 * says, read from its files: a container that stood ready before carries no label of the run.
 */
export async function containersOf(run: string, stateDir: string): Promise<Container[]> {
  const ids = idsIn(join(stateDir, 'audit', 'segments'), run);
  return (await allContainers()).filter(({ Id }) => ids.has(Id));
}

function idsIn(segments: string, run: string): Set<string> {
  const lines = readdirSync(segments).flatMap((name) =>
    readFileSync(join(segments, name), 'utf8').split('\n'),
  );
  const ofRun = lines.filter((line) => line.includes(`"run":"${run}"`));
  return new Set(ofRun.flatMap((line) => /"container":"([0-9a-f]{64})"/.exec(line)?.[1] ?? []));
}

async function allContainers(): Promise<Container[]> {
  const { socketPath } = await findEngine({ env: process.env });
  const path = '/containers/json?all=1';
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += String(part)));
      answer.on('end', () => resolve(JSON.parse(text) as Container[]));
    });
    call.on('error', reject);
    call.end();
  });
}

/**
 * Every container that the engine makes from now on for one daemon, by the engine's own events: a
 * container that was made and removed again is among them.
 */
export async function watchCreated(
  origin: string,
): Promise<{ names: () => readonly string[] } & Disposable> {
  const { socketPath } = await findEngine({ env: process.env });
  const install = hash('sha256', origin, 'hex').slice(0, 8);
  const filters = {
    type: ['container'],
    event: ['create'],
    label: [`orchestra.install=${install}`],
  };
  const path = `/events?filters=${encodeURIComponent(JSON.stringify(filters))}`;
  const call = request({ socketPath, path });
  call.end();
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  let text = '';
  answer.setEncoding('utf8');
  answer.on('data', (part: string) => (text += part));
  answer.on('error', () => {});
  call.on('error', () => {});
  return {
    names: () => Array.from(text.matchAll(/"name":"([^"]+)"/g), ([, name = '']) => name),
    [Symbol.dispose]: () => call.destroy(),
  };
}

/** Whatever the engine still has of one daemon, by the label of its installation. */
export async function ownContainers(stateDir: string): Promise<Container[]> {
  const segments = join(stateDir, 'audit', 'segments');
  const [first = ''] = readdirSync(segments).toSorted();
  const genesis = readFileSync(join(segments, first), 'utf8').split('\n', 1)[0] ?? '';
  const { data } = JSON.parse(genesis) as { data: { origin: string } };
  const install = hash('sha256', data.origin, 'hex').slice(0, 8);
  const all = await allContainers();
  return all.filter(({ Labels }) => Labels['orchestra.install'] === install);
}

/** As somebody does with the engine's own tool. */
export async function removeContainer(id: string): Promise<void> {
  const { socketPath } = await findEngine({ env: process.env });
  const call = request({ socketPath, method: 'DELETE', path: `/containers/${id}?force=1` });
  call.end();
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  answer.resume();
}
