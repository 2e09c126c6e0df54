import type { Digest } from '#contract/ids.ts';
import { formatLimit, type Limits, limitWords } from '#contract/limits.ts';
import { bytesOfText } from '#contract/path-bytes.ts';
import type { LayerEntry } from '#contract/snapshot.ts';
import { canonicalJson } from '../../base/canonical.ts';
import { cutText } from '../../base/text.ts';
import { sameEntry } from '../../workspace/tree.ts';
import type { ActionFacts } from './action.ts';

/** What stands behind the digests of one side, as far as it is still known. */
export type Behind = {
  snapshot?: readonly LayerEntry[] | undefined;
  /** The task that left a layer. */
  taskOf(layer: Digest): string | undefined;
  entriesOf(layer: Digest): readonly LayerEntry[] | undefined;
};
export type Side = { facts: ActionFacts; behind: Behind };

/**
 * What made a difference, in words, the first cause first: a changed file is named before the layer
 * that another task made of it.
 */
export function differences(before: Side, after: Side): string[] {
  const [a, b] = [before.facts, after.facts];
  return [
    ...changed('its command', a.command.map(quoted).join(' '), b.command.map(quoted).join(' ')),
    ...ofVariables(a.env, b.env),
    ...changed('its directory', a.cwd, b.cwd),
    ...(canonicalJson(a.outputs) === canonicalJson(b.outputs) ? [] : ['its outputs changed']),
    ...changed('the image', a.image, b.image),
    ...changed('the runtime', a.runtime, b.runtime),
    ...(a.filter === b.filter ? [] : ['the filter of system calls changed']),
    ...changed('the AppArmor profile', a.apparmor, b.apparmor),
    ...changed('the SELinux type', a.selinux, b.selinux),
    ...changed('the user', `${a.user.uid}:${a.user.gid}`, `${b.user.uid}:${b.user.gid}`),
    ...ofLimits(a.limits, b.limits),
    ...ofSnapshots(before, after),
    ...(a.packages === b.packages ? [] : ['the packages that the lockfile pins changed']),
    ...ofLayers(before, after),
  ];
}

function changed(what: string, before: string | undefined, after: string | undefined): string[] {
  if (before === after) return [];
  if (before === undefined) return [`${what} is ${shown(after)} now, and was not set`];
  if (after === undefined) return [`${what} is not set any more`];
  return [`${what} changed from ${shown(before)} to ${shown(after)}`];
}

function ofVariables(before: ActionFacts['env'], after: ActionFacts['env']): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) =>
    changed(`the variable ${name}`, valueOf(before, name), valueOf(after, name)),
  );
}

function valueOf(env: ActionFacts['env'], name: string): string | undefined {
  return Object.hasOwn(env, name) ? JSON.stringify(env[name]) : undefined;
}

function ofLimits(before: ActionFacts['limits'], after: ActionFacts['limits']): string[] {
  return (Object.keys(before) as (keyof ActionFacts['limits'] & keyof Limits)[]).flatMap((name) =>
    changed(
      `the limit ${limitWords[name]}`,
      formatLimit(name, before[name]),
      formatLimit(name, after[name]),
    ),
  );
}

function ofSnapshots(before: Side, after: Side): string[] {
  if (before.facts.partial !== after.facts.partial) {
    const seen = after.facts.partial === true ? 'only what its inputs name' : 'the whole workspace';
    return [`it sees ${seen} now`];
  }
  if (before.facts.snapshot === after.facts.snapshot) return [];
  const [old, now] = [before.behind.snapshot, after.behind.snapshot];
  if (old === undefined || now === undefined) return ['the workspace changed'];
  return [changeBetween(old, now) ?? 'the workspace changed'];
}

function ofLayers(before: Side, after: Side): string[] {
  const [old, now] = [before.facts.layers, after.facts.layers];
  if (old.join() === now.join() && before.facts.older === after.facts.older) return [];
  const news = now.filter((layer) => !old.includes(layer));
  const gone = old.filter((layer) => !now.includes(layer));
  const sentences = news.map((layer) => {
    const task = after.behind.taskOf(layer);
    if (task === undefined) return 'what a task before it left changed';
    const earlier = gone.find((one) => before.behind.taskOf(one) === task);
    if (earlier === undefined) return `what ${task} left is new to it`;
    const [a, b] = [before.behind.entriesOf(earlier), after.behind.entriesOf(layer)];
    const detail = a === undefined || b === undefined ? undefined : changeBetween(a, b);
    return `what ${task} left changed${detail === undefined ? '' : `: ${detail}`}`;
  });
  const kept = news.map((layer) => after.behind.taskOf(layer));
  const missed = gone
    .map((layer) => before.behind.taskOf(layer))
    .filter((task) => task !== undefined && !kept.includes(task))
    .map((task) => `it does not see any more what ${task} left`);
  const all = [...sentences, ...missed];
  return all.length > 0 ? all : ['the tasks before it, or their order, changed'];
}

/** The first path that is not the same, and how many more there are. Files speak before directories. */
function changeBetween(
  before: readonly LayerEntry[],
  after: readonly LayerEntry[],
): string | undefined {
  const old = new Map(before.map((entry) => [entry.path, entry]));
  const now = new Map(after.map((entry) => [entry.path, entry]));
  const found: { path: string; how: string; isDir: boolean }[] = [];
  for (const entry of after) {
    const { path, type } = entry;
    const was = old.get(path);
    if (was === undefined) found.push({ path, how: 'is new', isDir: type === 'dir' });
    else if (!sameEntry(was, entry)) found.push({ path, how: 'changed', isDir: type === 'dir' });
  }
  for (const { path, type } of before) {
    if (!now.has(path)) found.push({ path, how: 'is gone', isDir: type === 'dir' });
  }
  const files = found.filter(({ isDir }) => !isDir);
  const telling = files.length > 0 ? files : found;
  const first = telling.reduce<(typeof found)[number] | undefined>(
    (least, one) =>
      least === undefined || bytesOfText(one.path) < bytesOfText(least.path) ? one : least,
    undefined,
  );
  if (first === undefined) return undefined;
  const more = telling.length - 1;
  return `${nameOf(first.path)} ${first.how}${more === 0 ? '' : `, and ${more} more`}`;
}

/** Paths are the workspace's own words: as they are only where nothing in them moves a cursor. */
function nameOf(path: string): string {
  return /^[\w./@+ -]{1,120}$/.test(path) ? path : JSON.stringify(cutText(path, 120));
}

function shown(text: string | undefined): string {
  return cutText((text ?? '').replace(/\p{Cc}/gu, '?'), 80);
}

function quoted(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : JSON.stringify(word);
}
