import type { Finding } from '#contract/plan.ts';

const depthMax = 16;

/**
 * What no schema looks at: nesting without end, and keys that mean something to the language.
 * Walks with a stack of its own, so depth costs nothing.
 */
export function findHostile(value: unknown): Finding[] {
  const waiting: { value: unknown; pointer: string; depth: number }[] = [
    { value, pointer: '', depth: 0 },
  ];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { value, pointer, depth } = next;
    if (typeof value !== 'object' || value === null) continue;
    if (depth > depthMax) {
      return [{ code: 'schema', pointer, message: `nested deeper than ${depthMax} levels` }];
    }
    for (const key of Object.keys(value)) {
      if (key === '__proto__') {
        return [{ code: 'schema', pointer, message: 'the key __proto__ is not allowed' }];
      }
      const inner = (value as Record<string, unknown>)[key];
      if (typeof inner === 'object') {
        waiting.push({
          value: inner,
          pointer: `${pointer}/${key}`.slice(0, 200),
          depth: depth + 1,
        });
      }
    }
  }
  return [];
}
