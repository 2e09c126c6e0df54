export type Frozen<T> = T extends (...args: never) => unknown
  ? T
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

/**
 * Freezes a tree of plain objects and arrays in place and returns it. What is frozen already is
 * taken to be frozen all the way down, which also ends cycles.
 */
export function deepFreeze<T>(value: T): Frozen<T> {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const key of Object.keys(value)) {
      const inner = (value as Record<string, unknown>)[key];
      if (typeof inner === 'object') deepFreeze(inner);
    }
  }
  return value as Frozen<T>;
}
