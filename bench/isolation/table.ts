/** One rung of the ladder as it was measured: medians, with the samples they are of. */
export type Rung = {
  engine: string;
  runtime: string;
  /** The kernel that the task sees. */
  kernel: string;
  figures: Figures;
  samples: Record<string, number[]>;
};

export type Figures = {
  /** From the submission of a run of one task `true` to its closing record. */
  taskMs: number;
  /** From the submission to the first byte that the task wrote. */
  firstByteMs: number;
  /** A loop of plain JavaScript. */
  loopMs: number;
  /** 2,000 small files written into the workspace. */
  filesMs: number;
  /** `npm ci` of the example, as its task took; absent where no registry was in reach. */
  npmCiMs?: number | undefined;
  systemCallsPerSecond: number;
  /** Memory of one sandbox that sleeps, with every process that is there for it alone. */
  idleMiB: number;
};

export type IsolationResult = {
  at: string;
  rounds: number;
  load: number[];
  machine: string;
  rungs: Rung[];
  /** What could not be measured here, and why. */
  missing: { engine: string; runtime: string; why: string }[];
};

export const marks = ['<!-- cost table: begin -->', '<!-- cost table: end -->'] as const;

/** The table of the document, from the result alone. */
export function costTable({ at, rounds, load, machine, rungs, missing }: IsolationResult): string {
  const columns: [string, (rung: Rung) => string][] = [
    ['engine', ({ engine }) => engine],
    ['runtime', ({ runtime }) => runtime],
    ['kernel seen', ({ kernel }) => kernel],
    ['one task, ms', ({ figures }) => whole(figures.taskMs)],
    ['first byte, ms', ({ figures }) => whole(figures.firstByteMs)],
    ['loop, ms', ({ figures }) => whole(figures.loopMs)],
    ['2,000 files, ms', ({ figures }) => whole(figures.filesMs)],
    ['`npm ci`, ms', ({ figures }) => (figures.npmCiMs ? whole(figures.npmCiMs) : 'no registry')],
    ['system calls/s', ({ figures }) => whole(figures.systemCallsPerSecond)],
    ['idle sandbox, MiB', ({ figures }) => figures.idleMiB.toFixed(1)],
  ];
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [
    `Measured ${at.slice(0, 10)} on ${machine}, ${rounds} ${rounds === 1 ? 'round' : 'rounds'}, medians, load ${load[0]?.toFixed(1) ?? '?'}.`,
    '',
    line(columns.map(([title]) => title)),
    line(columns.map((_, n) => (n < 3 ? '---' : '---:'))),
    ...rungs.map((rung) => line(columns.map(([, cell]) => cell(rung)))),
    ...missing.flatMap(({ engine, runtime, why }, n) => [
      ...(n === 0 ? [''] : []),
      `Not here: ${engine} with ${runtime}: ${why}.`,
    ]),
  ].join('\n');
}

/** The document with the table between its marks replaced. */
export function withTable(document: string, table: string): string {
  const [before, rest] = splitOnce(document, marks[0]);
  const [, after] = splitOnce(rest, marks[1]);
  return `${before}${marks[0]}\n\n${table}\n\n${marks[1]}${after}`;
}

/** What the document says now, as it stands between the marks. */
export function tableIn(document: string): string {
  const [, rest] = splitOnce(document, marks[0]);
  return splitOnce(rest, marks[1])[0].trim();
}

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`the document has no mark ${mark}`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
