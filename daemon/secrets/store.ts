import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { SecretName } from '#contract/ids.ts';
import type { Actor, RecordData } from '#contract/records.ts';
import type { Entry, Log } from '../audit/types.ts';
import { newRequestId } from '../base/ids.ts';
import { cutText } from '../base/text.ts';
import {
  checkDirectory,
  checkValue,
  readSecret,
  secretName,
  type StoreFacts,
} from './read-secret.ts';

export type SecretRow = { name: SecretName; bytes: number; set_at: string };

/**
 * Values of secrets, a file each in a directory of the daemon's own. They are read when a run is
 * accepted and given to nobody but its tasks; there is no way to read one back through the API.
 */
export interface SecretStore {
  readonly directory: string;
  /** Whether `set` and `remove` are possible: not where another program owns the directory. */
  readonly writable: boolean;
  list(): Promise<SecretRow[]>;
  /** Throws `secret.unknown`, `secret.exposed` or `secret.invalid`. */
  read(name: string): Promise<Buffer>;
  /** On record, with its size, before anything is written. Replaces at once or not at all. */
  set(name: string, value: Uint8Array, actor: Actor): Promise<void>;
  remove(name: string, actor: Actor): Promise<void>;
}

export type StoreOptions = StoreFacts & { log: Pick<Log, 'append'> };

const namesMax = 512;

/** Makes the directory where it is the daemon's own. Refuses one that others can look into. */
export async function openSecretStore(options: StoreOptions): Promise<SecretStore> {
  const { log, ...facts } = options;
  const { directory, isForeign } = facts;
  if (!isForeign) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // Of an empty one nobody has seen anything; one with values in it is for a person to look at.
    if ((await readdir(directory)).length === 0) await chmod(directory, 0o700);
  }
  await checkDirectory(facts);
  let last: Promise<unknown> = Promise.resolve();
  /** One change at a time: two of the same name must not be told in another order than done. */
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work, work);
    last = turn.catch(() => {});
    return turn;
  };
  return {
    directory,
    writable: !isForeign,
    list: async () => {
      await checkDirectory(facts);
      return list(facts);
    },
    read: async (name) => {
      await checkDirectory(facts);
      return readSecret(facts, name);
    },
    set: async (given, value, actor) => {
      const name = secretName(given);
      assertOwn(facts);
      checkValue(value, name);
      await inTurn(async () => {
        await checkDirectory(facts);
        const rows = await list(facts);
        if (rows.length >= namesMax && !rows.some((row) => row.name === name)) {
          throw new OrchestraError('secret.invalid', `There are ${namesMax} secrets already`);
        }
        const data = { name, bytes: value.length };
        await recorded(log, { type: 'secret.set', data, actor }, async () =>
          write(directory, name, value),
        );
      });
    },
    remove: async (given, actor) => {
      const name = secretName(given);
      assertOwn(facts);
      await inTurn(async () => {
        const path = join(directory, name);
        if (!(await exists(path))) {
          throw new OrchestraError('secret.unknown', `There is no secret ${name}`, {
            hint: 'orchestra secret ls',
          });
        }
        await recorded(log, { type: 'secret.removed', data: { name }, actor }, async () => {
          await rm(path);
          await syncDirectory(directory);
        });
      });
    },
  };
}

function assertOwn({ isForeign }: StoreFacts): void {
  if (!isForeign) return;
  throw new OrchestraError('secret.read_only', 'The secrets come from outside the daemon', {
    hint: 'change them where they are made, such as LoadCredential= of the unit',
  });
}

async function list({ directory }: StoreFacts): Promise<SecretRow[]> {
  const rows: SecretRow[] = [];
  for (const name of (await readdir(directory)).toSorted()) {
    if (!SecretName.safeParse(name).success || rows.length >= namesMax) continue;
    const found = await lstat(join(directory, name));
    if (found.isFile()) rows.push({ name, bytes: found.size, set_at: found.mtime.toISOString() });
  }
  return rows;
}

type Change = 'secret.set' | 'secret.removed';

/** The intent is durable before the change, the result before anybody is told of it. */
async function recorded<T extends Change>(
  log: Pick<Log, 'append'>,
  { type, data, actor }: { type: T; data: RecordData<T>; actor: Actor },
  work: () => Promise<void>,
): Promise<void> {
  const entry = { type, actor, req: newRequestId() };
  const append = async (more: object) => {
    // A generic entry cannot tie data to its type; the log checks it against the schema.
    await log.append({ ...entry, ...more } as unknown as Entry);
  };
  await append({ stage: 'intent', data });
  try {
    await work();
  } catch (cause) {
    const reason = cutText((cause as NodeJS.ErrnoException).code ?? 'unknown', 512);
    await append({ stage: 'result', outcome: 'failed', sev: 'warn', data: { ...data, reason } });
    throw new OrchestraError('secret.invalid', `The secret ${data.name} could not be changed`, {
      cause,
    });
  }
  await append({ stage: 'result', data });
}

async function write(directory: string, name: string, value: Uint8Array): Promise<void> {
  // A name that no secret can have, so that a half-written one is never taken for one.
  const temp = join(directory, `.${randomBytes(8).toString('hex')}`);
  try {
    const file = await open(temp, 'wx', 0o600);
    try {
      await file.chmod(0o600);
      await file.writeFile(value);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temp, join(directory, name));
    await syncDirectory(directory);
  } finally {
    await rm(temp, { force: true });
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
