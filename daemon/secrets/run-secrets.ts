import { OrchestraError } from '#contract/errors.ts';
import { buildAutomaton, type Automaton } from './automaton.ts';
import { Masker } from './masker.ts';
import { spellingsOf } from './spellings.ts';
import type { SecretStore } from './store.ts';

export type SecretFile = { name: string; value: Uint8Array };

/**
 * The secrets of one run, read once when it is accepted: every task gets the same values, and all
 * of them are masked in the output of every task, because one may leave in the workspace what
 * another prints.
 */
export type RunSecrets = {
  /** Values for one task. Only ask for what policy granted it. */
  filesFor(names: readonly string[]): SecretFile[];
  /** Undefined where there is nothing to mask; then nothing is looked at. */
  automaton: Automaton | undefined;
  /** A text of a few words, such as a reason that holds names of files. */
  masked(text: string): string;
  /** The same and these, which people gave while the run was under way. */
  with(more: readonly SecretFile[]): RunSecrets;
};

const namesMax = 64;

/** Throws what keeps a value from being given, for all names at once. */
export async function openRunSecrets(
  store: Pick<SecretStore, 'read'>,
  names: readonly string[],
): Promise<RunSecrets> {
  const unique = [...new Set(names)].toSorted();
  if (unique.length === 0) return noSecrets;
  if (unique.length > namesMax) {
    throw new OrchestraError('secret.invalid', `A plan may name ${namesMax} secrets at most`);
  }
  const values = new Map<string, Uint8Array>();
  const errors: OrchestraError[] = [];
  for (const name of unique) {
    try {
      values.set(name, await store.read(name));
    } catch (error) {
      if (!(error instanceof OrchestraError)) throw error;
      errors.push(error);
    }
  }
  const [first] = errors;
  if (first !== undefined) throw errors.length === 1 ? first : together(first, errors);
  return secretsOf(values);
}

function secretsOf(values: ReadonlyMap<string, Uint8Array>): RunSecrets {
  const automaton = buildAutomaton([...values.values()].flatMap(spellingsOf));
  return {
    filesFor: (wanted) =>
      wanted.map((name) => {
        const value = values.get(name);
        if (value) return { name, value };
        throw new OrchestraError('internal.bug', `The run was accepted without ${name}`);
      }),
    automaton,
    masked: (text) => {
      const masker = new Masker(automaton);
      const parts = [masker.write(Buffer.from(text)), masker.end()];
      return Buffer.concat(parts).toString('utf8');
    },
    with: (more) =>
      secretsOf(new Map([...values, ...more.map(({ name, value }) => [name, value] as const)])),
  };
}

export const noSecrets: RunSecrets = {
  filesFor: () => [],
  automaton: undefined,
  masked: (text) => text,
  with: (more) => secretsOf(new Map(more.map(({ name, value }) => [name, value]))),
};

function together(first: OrchestraError, all: readonly OrchestraError[]): OrchestraError {
  return new OrchestraError(first.code, `${all.length} secrets cannot be given`, {
    places: all.map(({ message, hint }) => ({ message, ...(hint === undefined ? {} : { hint }) })),
  });
}
