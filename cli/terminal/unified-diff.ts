/**
 * The lines of a unified diff between two texts, without file headers. Beyond `effortMax` differing
 * lines it stops looking for the smallest difference and shows the middle as replaced as a whole.
 */
export function unifiedDiff(before: string, after: string, context = 3): string[] {
  const edits = editsOf(linesOf(before), linesOf(after));
  const out: string[] = [];
  for (const [from, to] of hunks(edits, context)) {
    const part = edits.slice(from, to);
    const first = part[0];
    if (first === undefined) continue;
    const removed = part.filter((edit) => edit.sign !== '+').length;
    const added = part.filter((edit) => edit.sign !== '-').length;
    out.push(`@@ -${range(first.a, removed)} +${range(first.b, added)} @@`);
    for (const { sign, line } of part) {
      out.push(`${sign}${line.replace(/\n$/, '')}`);
      if (!line.endsWith('\n')) out.push('\\ No newline at end of file');
    }
  }
  return out;
}

type Edit = { sign: ' ' | '-' | '+'; line: string; a: number; b: number };

const effortMax = 1000;

function linesOf(text: string): string[] {
  return text === '' ? [] : (text.match(/[^\n]*\n|[^\n]+$/g) ?? []);
}

function range(start: number, count: number): string {
  // An empty side names the line before it, as diff(1) does.
  return count === 1 ? `${start + 1}` : `${count === 0 ? start : start + 1},${count}`;
}

function editsOf(a: readonly string[], b: readonly string[]): Edit[] {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  const room = Math.min(a.length, b.length) - head;
  while (tail < room && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const signs = myers(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  const same = (count: number) => Array.from({ length: count }, () => ' ' as const);
  const all: Edit['sign'][] = [...same(head), ...signs, ...same(tail)];
  let [atA, atB] = [0, 0];
  return all.map((sign) => {
    const edit = { sign, line: (sign === '+' ? b[atB] : a[atA]) ?? '', a: atA, b: atB };
    if (sign !== '+') atA += 1;
    if (sign !== '-') atB += 1;
    return edit;
  });
}

// Myers' greedy algorithm: V by diagonal for each number of edits, then the way back.
function myers(a: readonly string[], b: readonly string[]): Edit['sign'][] {
  const replaced = (): Edit['sign'][] => [
    ...a.map(() => '-' as const),
    ...b.map(() => '+' as const),
  ];
  if (a.length === 0 || b.length === 0) return replaced();
  const trace: Map<number, number>[] = [];
  let v = new Map<number, number>([[1, 0]]);
  for (let d = 0; d <= Math.min(a.length + b.length, effortMax); d++) {
    trace.push(v);
    const next = new Map(v);
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1));
      let x = down ? (v.get(k + 1) ?? 0) : (v.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      next.set(k, x);
      if (x >= a.length && x - k >= b.length) return wayBack(trace, a.length, b.length);
    }
    v = next;
  }
  return replaced();
}

function wayBack(trace: readonly Map<number, number>[], aLength: number, bLength: number) {
  const signs: Edit['sign'][] = [];
  let [x, y] = [aLength, bLength];
  for (let d = trace.length - 1; d >= 0; d--) {
    const v = trace[d] ?? new Map<number, number>();
    const k = x - y;
    const down = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1));
    const before = down ? k + 1 : k - 1;
    const fromX = v.get(before) ?? 0;
    const fromY = fromX - before;
    while (x > fromX && y > fromY && x > 0 && y > 0) {
      signs.push(' ');
      x -= 1;
      y -= 1;
    }
    if (d > 0) signs.push(down ? '+' : '-');
    [x, y] = [fromX, fromY];
  }
  return signs.reverse();
}

function hunks(edits: readonly Edit[], context: number): [number, number][] {
  const found: [number, number][] = [];
  for (const [at, { sign }] of edits.entries()) {
    if (sign === ' ') continue;
    const [from, to] = [Math.max(0, at - context), Math.min(edits.length, at + context + 1)];
    const last = found.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = to;
    else found.push([from, to]);
  }
  return found;
}
