import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Actor } from '#contract/records.ts';
import type { AnyEntry, Log } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import { changesBetween } from './changes.ts';
import { givenStepsMax, readPolicy } from './document.ts';
import { withLayers, type EffectivePolicy } from './effective.ts';
import { readAll, textsOnDisk, type Loaded } from './files.ts';
import { openJudge, type Judge } from './judge.ts';
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

/** A row, and how its file stands to it: `new` ones are not in force at all. */
export type PolicyOnDisk = PolicyRow & { on_disk: 'same' | 'changed' | 'gone' };

export type Reloaded = {
  /** What changed, by document; none where everything is as it was. */
  changed: { name: string; digest?: Digest; changes: string[] }[];
  loaded: number;
};

export interface PolicyBook extends Judge {
  byDefault(): PolicyEntry;
  /** Throws `policy.unknown`, naming the ones there are. */
  get(name: string): PolicyEntry;
  /** A document that came with a request. Throws `policy.invalid` with places. */
  fromText(text: string, file: string): PolicyEntry;
  /** A policy that was in force before, as far as the ceiling still allows it. */
  again(policy: EffectivePolicy): PolicyEntry;
  /** The same policy, or what the ceiling of now leaves of it where that changed meanwhile. */
  today(policy: EffectivePolicy): EffectivePolicy;
  list(): PolicyRow[];
  /** With how the files stand to what is in force, and the names of files that are not. */
  compare(): Promise<{ rows: PolicyOnDisk[]; unread: string[]; refused: string | undefined }>;
  /** Every document that is in force. */
  documents(): readonly LoadedPolicy[];
  /**
   * Reads all documents anew and puts all of them in force at once, on record before; or throws what
   * is wrong, on record as well, and everything stays as it was. `by` is who asked for it.
   */
  reload(by?: Actor): Promise<Reloaded>;
}

/** A document as it was read, and as it applies under the ceiling. */
export type LoadedPolicy = Loaded & { applied: EffectivePolicy; isCeiling: boolean };

export type BookOptions = {
  log: Pick<Log, 'append' | 'appendAll'>;
  /** Later directories may not repeat a name of earlier ones. */
  directories: readonly string[];
  ceiling: string;
  standard: string;
  /** Looks at all documents together before they come into force. Throws what refuses them. */
  check?: (documents: readonly LoadedPolicy[], judge: Judge) => void;
};

/**
 * Reads every `NAME.yaml` of the directories; one that cannot be read or checked is recorded and
 * refuses the start, because a policy that nobody can read must not be taken for one that allows.
 */
export async function openPolicyBook(options: BookOptions): Promise<PolicyBook> {
  const { log } = options;
  // What the check compiled is what judges.
  const judge = openJudge();
  let shelf = await rejecting(log, async () => openShelf(options, judge));
  await log.appendAll(shelf.all.map((document) => loadedEntry(document)));
  let refused: string | undefined;
  let reloading: Promise<unknown> = Promise.resolve();

  const reload = async (by?: Actor): Promise<Reloaded> => {
    const next = await rejecting(log, async () => openShelf(options, judge), by).catch(
      (error: unknown) => {
        refused = error instanceof Error ? error.message : String(error);
        throw error;
      },
    );
    const changed = compareShelves(shelf, next);
    const entries = changed.flatMap(({ before, now, changes }): AnyEntry[] => {
      if (now !== undefined) return [{ ...loadedEntry(now, before, changes), ...saidBy(by) }];
      return before === undefined ? [] : [{ ...removedEntry(before), ...saidBy(by) }];
    });
    if (entries.length > 0) await log.appendAll(entries);
    shelf = next;
    refused = undefined;
    return {
      loaded: next.all.length,
      changed: changed.map(({ name, now, changes }) => ({
        name,
        changes,
        ...(now === undefined ? {} : { digest: now.policy.digest }),
      })),
    };
  };

  return {
    ...judge,
    byDefault: () => shelf.entry(options.standard),
    get: (name) => shelf.entry(name),
    fromText(text, file) {
      const { policy } = readPolicy(text, file, { stepsMax: givenStepsMax });
      return shelf.applied({ name: policy.name, source: file, text, policy });
    },
    again: (policy) =>
      shelf.applied({
        name: policy.name,
        source: 'an earlier run',
        text: '',
        policy: withLayers(policy),
      }),
    today: (policy) => shelf.today(policy),
    list: () => shelf.all.map(rowOf),
    async compare() {
      const texts = await textsOnDisk(options.directories);
      const rows = shelf.all.map((document): PolicyOnDisk => {
        const text = texts.get(document.source);
        texts.delete(document.source);
        const on = text === undefined ? 'gone' : text === document.text ? 'same' : 'changed';
        return { ...rowOf(document), on_disk: on };
      });
      return { rows, unread: [...texts.keys()], refused };
    },
    documents: () => shelf.all,
    reload(by) {
      // One after the other: two at once could each put half of the other's files in force.
      const mine = reloading.catch(() => {}).then(async () => reload(by));
      reloading = mine;
      return mine;
    },
  };
}

/** The same checks without a log: what `orchestrad --check` does. */
export async function checkPolicies(
  options: Omit<BookOptions, 'log'>,
): Promise<readonly LoadedPolicy[]> {
  return (await openShelf(options, openJudge())).all;
}

/** All documents of one moment; nothing of it changes. */
type Shelf = {
  all: readonly LoadedPolicy[];
  entry(name: string): PolicyEntry;
  applied(document: Omit<PolicyEntry, 'narrowed'>): PolicyEntry;
  today(policy: EffectivePolicy): EffectivePolicy;
};

async function openShelf(
  { directories, ceiling, standard, check }: Omit<BookOptions, 'log'>,
  judge: Judge,
): Promise<Shelf> {
  const documents = await readAll(directories);
  const top = find(documents, ceiling).policy;
  find(documents, standard);
  const applied = (document: Omit<PolicyEntry, 'narrowed'>): PolicyEntry => {
    const { name, source, text } = document;
    return { name, source, text, ...narrow(top, document.policy) };
  };
  const entries = new Map(
    [...documents.values()].map((document) => [document.name, applied(document)]),
  );
  const all = [...documents.values()].map((document): LoadedPolicy => {
    const { policy } = entries.get(document.name) ?? document;
    return { ...document, applied: policy, isCeiling: document.name === ceiling };
  });
  check?.(all, judge);
  const narrowed = new WeakMap<EffectivePolicy, EffectivePolicy>();
  return {
    all,
    entry(name) {
      find(documents, name);
      return entries.get(name) ?? applied(find(documents, name));
    },
    applied,
    today(policy) {
      const known = narrowed.get(policy);
      if (known !== undefined) return known;
      const { digest } = top.documents[0] ?? {};
      const isSame = policy.documents.some((one) => one.name === top.name && one.digest === digest);
      const found = isSame ? policy : narrow(top, policy).policy;
      narrowed.set(policy, found);
      return found;
    },
  };
}

async function rejecting<T>(
  log: BookOptions['log'],
  open: () => Promise<T>,
  by?: Actor,
): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const { message, places } =
      error instanceof OrchestraError ? error : { message: String(error), places: [] };
    const [place] = places;
    const at =
      place === undefined ? '' : `: ${place.line ?? 1}:${place.column ?? 1} ${place.message}`;
    await log.append({
      type: 'policy.rejected',
      ...saidBy(by),
      outcome: 'denied',
      sev: 'alert',
      data: {
        name: '',
        source: cutText(place?.file ?? '', 4096),
        reason: cutText(`${message}${at}`, 1024),
      },
    });
    throw error;
  }
}

function loadedEntry(now: LoadedPolicy, before?: LoadedPolicy, changes?: readonly string[]) {
  return {
    type: 'policy.loaded',
    data: {
      name: now.name,
      policy: now.policy.digest,
      source: cutText(now.source, 4096),
      document: now.policy.documents[0]?.digest ?? now.policy.digest,
      ...(before === undefined ? {} : { before: before.policy.digest }),
      ...(changes === undefined
        ? {}
        : { changes: changes.slice(0, changesMax).map((text) => cutText(text, 256)) }),
    },
  } as const;
}

function saidBy(actor: Actor | undefined): { actor?: Actor } {
  return actor === undefined ? {} : { actor };
}

function removedEntry({ name, policy, source }: LoadedPolicy) {
  const data = { name, policy: policy.digest, source: cutText(source, 4096) };
  return { type: 'policy.removed', data } as const;
}

const changesMax = 64;

/** `before` is missing where it is new, `now` where it is gone. */
type Change = {
  name: string;
  before: LoadedPolicy | undefined;
  now: LoadedPolicy | undefined;
  changes: string[];
};

function compareShelves(old: Shelf, next: Shelf): Change[] {
  const before = new Map(old.all.map((document) => [document.name, document]));
  const now = new Map(next.all.map((document) => [document.name, document]));
  const gone = [...before.values()]
    .filter(({ name }) => !now.has(name))
    .map((document): Change => {
      return { name: document.name, before: document, now: undefined, changes: ['removed'] };
    });
  const others = [...now.values()].flatMap((document): Change[] => {
    const { name } = document;
    const was = before.get(name);
    if (was === undefined) return [{ name, before: was, now: document, changes: ['added'] }];
    if (was.text === document.text && was.source === document.source) return [];
    return [{ name, before: was, now: document, changes: changesBetween(was, document) }];
  });
  return [...gone, ...others];
}

function rowOf({ name, source, applied, isCeiling }: LoadedPolicy): PolicyRow {
  return { name, digest: applied.digest, source, ceiling: isCeiling };
}

function find(documents: ReadonlyMap<string, Loaded>, name: string): Loaded {
  const found = documents.get(name);
  if (found) return found;
  throw new OrchestraError('policy.unknown', `There is no policy ${name.slice(0, 64)}`, {
    hint: `known: ${[...documents.keys()].join(', ')}`,
  });
}
