import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const daemon = new URL('../../../../daemon', import.meta.url).pathname;
const sources = readdirSync(daemon, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => [name, readFileSync(join(daemon, name), 'utf8')] as const);
/** Files that load another with themselves; `import(…)` and types do not. */
const loadersOf = (specifier: RegExp) =>
  sources
    .filter(([, text]) =>
      Array.from(text.matchAll(/^import (?!type )[^;]*? from '([^']+)';/gm)).some(([, from = '']) =>
        specifier.test(from),
      ),
    )
    .map(([name]) => name);

test('a start loads no SDK of a provider: only the file of its kind does, and that one comes late', () => {
  const room = 'planner/models/';
  expect(loadersOf(/^@anthropic-ai\/sdk/)).toEqual([`${room}anthropic.ts`]);
  expect(loadersOf(/^openai/)).toEqual([`${room}openai.ts`]);
  expect(loadersOf(/\/anthropic\.ts$/)).toEqual([]);
  expect(loadersOf(/\/openai\.ts$/)).toEqual([`${room}compatible.ts`]);
  expect(loadersOf(/\/compatible\.ts$/)).toEqual([]);
});

test('nothing but the guard calls the network for a plan', () => {
  // `isIP` only looks at a text.
  const net =
    /\bfetch\(|from 'node:(?:https?|http2|tls|dns|dgram)|import \{ (?!isIP \}).* from 'node:net'/;
  const callers = sources.filter(([name, text]) => name.startsWith('planner/') && net.test(text));
  expect(callers.map(([name]) => name)).toEqual(['planner/models/guarded-fetch.ts']);
});
