import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OrchestraError, type ErrorPlace } from '#contract/errors.ts';
import type { LoadedPolicy } from '../book.ts';
import { openJudge } from '../judge.ts';
import { runCases } from './run-cases.ts';

const placesMax = 50;

/**
 * Judges the cases that stand beside documents, each document by itself. Answers a line for each that
 * has some; throws `policy.invalid` with the place of every case that is not as expected.
 */
export async function testBeside(
  documents: readonly Pick<LoadedPolicy, 'name' | 'source' | 'policy'>[],
): Promise<string[]> {
  const lines: string[] = [];
  const places: ErrorPlace[] = [];
  const judge = openJudge();
  for (const { name, source, policy } of documents) {
    const files = await casesOf(source);
    if (files.length === 0) continue;
    const { cases, passed, coverage } = await runCases(judge, policy, files);
    lines.push(
      `${name}: ${passed} of ${cases.length} cases as expected, ${coverage.covered} of ${coverage.total} rules and profiles reached`,
    );
    for (const one of cases.filter(({ ok }) => !ok)) {
      places.push({
        file: one.file,
        line: one.line,
        message: `${one.name}: ${one.differs.join('; ')}`,
      });
    }
  }
  if (places.length === 0) return lines;
  const count = places.length === 1 ? '1 case is' : `${places.length} cases are`;
  throw new OrchestraError('policy.invalid', `${count} not as expected`, {
    hint: 'orchestra policy test shows what came out instead',
    places: places.slice(0, placesMax),
  });
}

async function casesOf(source: string): Promise<{ file: string; text: string }[]> {
  const [directory, stem] = [dirname(source), basename(source).replace(/\.ya?ml$/, '')];
  const names = await readdir(directory);
  const tests = names.filter((name) => name.startsWith(`${stem}.`) && name.endsWith('.test.yaml'));
  return Promise.all(
    tests.toSorted().map(async (name) => {
      const file = join(directory, name);
      return { file, text: await readFile(file, 'utf8') };
    }),
  );
}
