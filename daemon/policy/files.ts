import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { PolicyDocument } from '#contract/policy.ts';
import { readPolicy } from './document.ts';
import type { EffectivePolicy } from './effective.ts';

/** A document as it was read from a file, and as it applies alone. */
export type Loaded = {
  name: string;
  source: string;
  text: string;
  document: PolicyDocument;
  policy: EffectivePolicy;
};

/** Every `NAME.yaml` of the directories by its name; `NAME.test.yaml` holds cases, not a policy. */
export async function readAll(directories: readonly string[]): Promise<Map<string, Loaded>> {
  const documents = new Map<string, Loaded>();
  for (const directory of directories) {
    for (const file of await yamlFiles(directory)) {
      const document = await readOne(join(directory, file));
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

/** What stands in the files now; one that cannot be read is not there. */
export async function textsOnDisk(directories: readonly string[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const directory of directories) {
    for (const file of await yamlFiles(directory).catch(() => [])) {
      const path = join(directory, file);
      const text = await readFile(path, 'utf8').catch(() => undefined);
      if (text !== undefined) texts.set(path, text);
    }
  }
  return texts;
}

async function yamlFiles(directory: string): Promise<string[]> {
  try {
    const names = await readdir(directory);
    return names
      .filter((name) => name.endsWith('.yaml') && !name.endsWith('.test.yaml'))
      .toSorted();
  } catch (cause) {
    throw new OrchestraError('policy.invalid', `The policies in ${directory} cannot be read`, {
      hint: 'check the folder named by `policies` in the configuration',
      cause,
    });
  }
}

async function readOne(path: string): Promise<Loaded> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new OrchestraError('policy.invalid', `${path} cannot be read`, {
      places: [{ file: path, message: 'cannot be read' }],
      cause,
    });
  }
  const { document, policy } = readPolicy(text, path);
  return { name: document.name, source: path, text, document, policy };
}
