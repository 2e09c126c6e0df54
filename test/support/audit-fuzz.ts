import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Verdict } from '#verifier/verdict.ts';
import { verifyPath } from '#verifier/verify-path.ts';
import { Dice, someCase, Subjects, type AuditCase } from './audit-mutations.ts';

export type Answer = { exit: number; reason: string | null; seq: number | null };
export type Disagreement = { seed: number; name: string; ours: Answer; theirs: Answer };
export type FuzzResult = {
  cases: number;
  disagreements: Disagreement[];
  /** A record that something from outside vouched for, and that was not the one that was written. */
  unsound: { seed: number; name: string }[];
  exits: Record<string, number>;
  reasons: Record<string, number>;
};

const root = new URL('../..', import.meta.url).pathname;

export type FuzzOptions = { dir: string; cases: number; seed: number };
export type JudgedCase = {
  seed: number;
  it: AuditCase;
  verdict: Verdict;
  ours: Answer;
  theirs: Answer;
};

/**
 * Hands mutated logs, extracts and proofs to both verifiers. Case n follows from `seed` + n alone,
 * so a single one can be looked at again.
 */
export async function* fuzzCases(options: FuzzOptions): AsyncGenerator<JudgedCase> {
  const subjects = new Subjects();
  await using python = new SecondVerifier();
  for (let n = 0; n < options.cases; n += 1) {
    const seed = options.seed + n;
    const it = someCase(subjects, new Dice(seed));
    const folder = join(options.dir, String(n % 8));
    lay(folder, it);
    const path = join(folder, it.target);
    const [theirs, verdict] = await Promise.all([
      python.verify(path, it),
      verifyPath(path, { ...it, expectedHead: headOf(it.expect) }),
    ]);
    const ours = {
      exit: verdict.exit,
      reason: verdict.reason ?? null,
      seq: verdict.seq ?? null,
    };
    yield { seed, it, verdict, ours, theirs };
  }
}

/** The same, counted. */
export async function fuzzAudit(
  options: FuzzOptions & {
    onDisagreement?: (one: Disagreement, it: AuditCase) => void;
    onProgress?: (done: number) => void;
  },
): Promise<FuzzResult> {
  const result: FuzzResult = { cases: 0, disagreements: [], unsound: [], exits: {}, reasons: {} };
  const genuine = genuineLines();
  for await (const { seed, it, verdict, ours, theirs } of fuzzCases(options)) {
    if (ours.exit !== theirs.exit || ours.reason !== theirs.reason || ours.seq !== theirs.seq) {
      const one = { seed, name: it.name, ours, theirs };
      result.disagreements.push(one);
      options.onDisagreement?.(one, it);
    }
    if (
      verdict.exit === 0 &&
      it.keys.length > 0 &&
      !isGenuine(it, verdict.trusted - verdict.firstSeq, genuine)
    ) {
      result.unsound.push({ seed, name: it.name });
    }
    result.cases += 1;
    result.exits[ours.exit] = (result.exits[ours.exit] ?? 0) + 1;
    const reason = ours.reason ?? 'none';
    result.reasons[reason] = (result.reasons[reason] ?? 0) + 1;
    if (result.cases % 1_000 === 0) options.onProgress?.(result.cases);
  }
  return result;
}

function genuineLines(): Set<string> {
  const { small, bare, long, pruned, other } = new Subjects();
  const logs = [small, bare, long, pruned, other];
  return new Set(logs.flatMap(({ lines }) => lines.map(({ bytes }) => bytes.toString('latin1'))));
}

/** Whether what is said to be vouched for was written by the one who holds the keys. */
function isGenuine(it: AuditCase, records: number, genuine: ReadonlySet<string>): boolean {
  const names = [...it.files.keys()].filter((name) => name.startsWith('segments/')).toSorted();
  const lines = names.flatMap((name) => (it.files.get(name) ?? '').toString('latin1').split('\n'));
  return lines
    .filter((line) => line !== '')
    .slice(0, it.target === '' ? Math.max(records, 0) : 0)
    .every((line) => genuine.has(line));
}

function headOf(expect: string | undefined): { size: number; hash: string } | undefined {
  const [size, hash] = expect?.split(':') ?? [];
  return hash === undefined ? undefined : { size: Number(size), hash };
}

export function lay(dir: string, { files }: Pick<AuditCase, 'files'>): void {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  for (const [name, bytes] of files) {
    if (name.includes('/')) mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), bytes);
  }
}

/** The implementation in Python, as one process that answers line by line. */
export class SecondVerifier implements AsyncDisposable {
  readonly #child = spawn(
    'python3',
    [join(root, 'verifier/python/orchestra_verify.py'), '--serve'],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  readonly #lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();

  async verify(path: string, it: Omit<AuditCase, 'files' | 'name' | 'target'>): Promise<Answer> {
    const b64 = (bytes: Buffer | undefined) => bytes?.toString('base64');
    const question = {
      path,
      keys: it.keys,
      checkpoints: it.checkpoints.map(b64),
      policy: b64(it.policy),
      record: b64(it.record),
      expect: it.expect,
    };
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the second verifier is gone: ${path}`);
    return JSON.parse(value) as Answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    await this.#lines.next();
  }
}

export type CorpusRow = Answer & { seed: number; name: string; sha256: string };

/** What both verifiers said of cases that follow from their seeds. */
export function readCorpus(): CorpusRow[] {
  const file = join(root, 'test/corpus/audit/expected.json');
  return JSON.parse(readFileSync(file, 'utf8')) as CorpusRow[];
}
