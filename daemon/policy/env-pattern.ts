/** Whether a list of `NAME`, `NAME_*` and `*` allows a name. */
export function allowsName(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matches(pattern, name));
}

/** Whether everything that `inner` allows is allowed by `outer` too. */
export function coveredBy(inner: string, outer: string): boolean {
  if (!outer.endsWith('*')) return inner === outer;
  const start = outer.slice(0, -1);
  return (inner.endsWith('*') ? inner.slice(0, -1) : inner).startsWith(start);
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
