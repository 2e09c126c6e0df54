import { request } from 'node:http';
import { findEngine } from '#setup/engine/find.ts';

export type Container = { Id: string; State: string; Labels: Record<string, string> };

/** Containers of a run as the engine itself lists them, stopped ones too. */
export async function containersOf(run: string): Promise<Container[]> {
  const { socketPath } = await findEngine({ env: process.env });
  const filters = encodeURIComponent(JSON.stringify({ label: [`orchestra.run=${run}`] }));
  const path = `/containers/json?all=1&filters=${filters}`;
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
