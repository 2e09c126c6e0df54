import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Log } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import { parsePolicy } from './document.ts';
import { effectivePolicy, type EffectivePolicy } from './effective.ts';
import { narrow } from './narrow.ts';

export type PolicyEntry = {
  name: string;
  source: string;
  text: string;
  /** In force: never wider than the ceiling. */
  policy: EffectivePolicy;
  /** What the ceiling took away, in words. */
  narrowed: readonly string[];
};

export type PolicyRow = { name: string; digest: Digest; source: string; ceiling: boolean };

export interface PolicyBook {
  byDefault(): PolicyEntry;
  /** Throws `policy.unknown`, naming the ones there are. */
  get(name: string): PolicyEntry;
  /** A document that came with a request. Throws `policy.invalid` with places. */
  fromText(text: string, file: string): PolicyEntry;
  /** A policy that was in force before, as far as the ceiling still allows it. */
  again(policy: EffectivePolicy): PolicyEntry;
  list(): PolicyRow[];
}

export type BookOptions = {
  log: Pick<Log, 'append'>;
  /** Later directories may not repeat a name of earlier ones. */
  directories: readonly string[];
  ceiling: string;
  standard: string;
};

type Document = { name: string; source: string; text: string; policy: EffectivePolicy };

/**
 * Reads every `NAME.yaml` of the directories; one that cannot be read or checked is recorded and
 * refuses the start, because a policy that nobody can read must not be taken for one that allows.
 */
export async function openPolicyBook(options: BookOptions): Promise<PolicyBook> {
  const { log, ceiling, standard } = options;
  const documents = await readAll(options);
  for (const { name, source, policy } of documents.values()) {
    await log.append({
      type: 'policy.loaded',
      data: { name, policy: policy.digest, source: cutText(source, 4096) },
    });
  }
  const top = find(documents, ceiling).policy;
  const applied = (document: Document): PolicyEntry => {
    const { policy, narrowed } = narrow(top, document.policy);
    return { ...document, policy, narrowed };
  };
  return {
    byDefault: () => applied(find(documents, standard)),
    get: (name) => applied(find(documents, name)),
    fromText: (text, file) => {
      const policy = effectivePolicy(parsePolicy(text, file));
      return applied({ name: policy.name, source: file, text, policy });
    },
    again: (policy) => applied({ name: policy.name, source: 'an earlier run', text: '', policy }),
    list: () =>
      [...documents.values()].map((document) => ({
        name: document.name,
        digest: applied(document).policy.digest,
        source: document.source,
        ceiling: document.name === ceiling,
      })),
  };
}

/** The same checks without a log: what `orchestrad --check` does. */
export async function checkPolicies(
  directories: readonly string[],
  names: readonly string[],
): Promise<void> {
  const documents = await readAll({ directories });
  for (const name of names) find(documents, name);
}

async function readAll({
  directories,
  log,
}: Pick<BookOptions, 'directories'> & Partial<BookOptions>): Promise<Map<string, Document>> {
  const documents = new Map<string, Document>();
  for (const directory of directories) {
    for (const file of await yamlFiles(directory)) {
      const document = await readOne(join(directory, file), log);
      if (`${document.name}.yaml` !== file || documents.has(document.name)) {
        throw new OrchestraError('policy.invalid', `${file} holds the policy ${document.name}`, {
          hint: 'a policy has the name of its file, and each name is there once',
        });
      }
      documents.set(document.name, document);
    }
  }
  return documents;
}

async function yamlFiles(directory: string): Promise<string[]> {
  try {
    const names = await readdir(directory);
    return names.filter((name) => name.endsWith('.yaml')).toSorted();
  } catch (cause) {
    throw new OrchestraError('policy.invalid', `The policies in ${directory} cannot be read`, {
      hint: 'check the folder named by `policies` in the configuration',
      cause,
    });
  }
}

async function readOne(path: string, log: BookOptions['log'] | undefined): Promise<Document> {
  try {
    const text = await readFile(path, 'utf8');
    const policy = effectivePolicy(parsePolicy(text, path));
    return { name: policy.name, source: path, text, policy };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await log?.append({
      type: 'policy.rejected',
      outcome: 'denied',
      sev: 'alert',
      data: { name: '', source: cutText(path, 4096), reason: cutText(reason, 1024) },
    });
    if (error instanceof OrchestraError) throw error;
    throw new OrchestraError('policy.invalid', `${path} cannot be read`, { cause: error });
  }
}

function find(documents: Map<string, Document>, name: string): Document {
  const found = documents.get(name);
  if (found) return found;
  throw new OrchestraError('policy.unknown', `There is no policy ${name.slice(0, 64)}`, {
    hint: `known: ${[...documents.keys()].join(', ')}`,
  });
}
