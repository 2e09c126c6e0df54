import { parseVkey, signedBy, type Note, type VerifierKey } from './tlog/note.ts';

/**
 * Whose signatures make a checkpoint count: C2SP tlog-policy, with one line of our own,
 * `max-unanchored N`: how many records may follow the newest checkpoint that satisfies the quorum.
 */
export type Policy = {
  logs: VerifierKey[];
  witnesses: Map<string, VerifierKey>;
  quorum: string;
  maxUnanchored: number | undefined;
  groups: Map<string, { atLeast: number; members: string[] }>;
};

export type Cosigned = { name: string; at: number };

/** The policy in these bytes, or why they are none. */
export function parsePolicy(bytes: Uint8Array): Policy | string {
  // Octets beyond ASCII mean nothing: names are compared as they are.
  const text = Buffer.from(bytes).toString('latin1');
  // oxlint-disable-next-line no-control-regex -- exactly these may not be there
  if (/[\0-\x08\x0b-\x1f\x7f]/.test(text)) return 'a control character';
  const policy: Policy = {
    logs: [],
    witnesses: new Map(),
    groups: new Map(),
    quorum: '',
    maxUnanchored: undefined,
  };
  const raws = new Set<string>();
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.split(/[ \t]+/).filter((word) => word !== '');
    if (words.length === 0 || words[0]?.startsWith('#') === true) continue;
    const why = addLine(policy, words, raws);
    if (why !== undefined) return `line ${index + 1}: ${why}`;
  }
  return policy.quorum === '' ? 'it names no quorum' : policy;
}

function addLine(policy: Policy, words: string[], raws: Set<string>): string | undefined {
  const { logs, witnesses, groups } = policy;
  const [verb = '', name = '', ...rest] = words;
  const isFree = () => name !== 'none' && !witnesses.has(name) && !groups.has(name);
  switch (verb) {
    case 'log': {
      const key = keyOf(name, 'ed25519', raws);
      if (key === undefined || rest.length > 1) return 'no key of a log';
      logs.push(key);
      return undefined;
    }
    case 'witness': {
      const key = keyOf(rest[0] ?? '', 'cosignature', raws);
      if (key === undefined || rest.length > 2 || !isFree()) return 'no key of a witness';
      witnesses.set(name, key);
      return undefined;
    }
    case 'group': {
      const [threshold = '', ...members] = rest;
      const isKnown = members.every((one) => witnesses.has(one) || groups.has(one));
      const used = [...groups.values()].flatMap((group) => group.members);
      const isTwice = new Set([...used, ...members]).size < used.length + members.length;
      const atLeast = atLeastOf(threshold, members.length);
      if (!isFree() || !isKnown || isTwice || atLeast === undefined) return 'no group';
      groups.set(name, { atLeast, members });
      return undefined;
    }
    case 'quorum': {
      const isKnown = name === 'none' || witnesses.has(name) || groups.has(name);
      if (policy.quorum !== '' || !isKnown || rest.length > 0) return 'no quorum';
      policy.quorum = name;
      return undefined;
    }
    case 'max-unanchored': {
      if (policy.maxUnanchored !== undefined || rest.length > 0 || !/^[0-9]{1,15}$/.test(name)) {
        return 'no number of records';
      }
      policy.maxUnanchored = Number(name);
      return undefined;
    }
    default:
      return 'an unknown word';
  }
}

function keyOf(
  vkey: string,
  kind: VerifierKey['kind'],
  raws: Set<string>,
): VerifierKey | undefined {
  const key = parseVkey(Buffer.from(vkey, 'latin1').toString('utf8'));
  if (key?.kind !== kind) return undefined;
  const raw = `${kind} ${key.key.export({ format: 'jwk' }).x ?? ''}`;
  if (raws.has(raw)) return undefined;
  raws.add(raw);
  return key;
}

function atLeastOf(word: string, members: number): number | undefined {
  if (members === 0) return undefined;
  if (word === 'all') return members;
  if (word === 'any') return 1;
  const count = /^[0-9]{1,4}$/.test(word) ? Number(word) : 0;
  return count >= 1 && count <= members ? count : undefined;
}

/** Which witnesses of the policy signed this note; `wrong` where one of their signatures is not theirs. */
export function cosignersOf(note: Note, policy: Policy): Cosigned[] | 'wrong' {
  const found: Cosigned[] = [];
  for (const [name, key] of policy.witnesses) {
    const signed = signedBy(note, key);
    if (signed.signed) found.push({ name, at: signed.at ?? 0 });
    else if (signed.why === 'wrong') return 'wrong';
  }
  return found;
}

export function isQuorum(policy: Policy, names: ReadonlySet<string>): boolean {
  const holds = (name: string): boolean => {
    const group = policy.groups.get(name);
    if (group === undefined) return names.has(name);
    return group.members.filter(holds).length >= group.atLeast;
  };
  return policy.quorum === 'none' || holds(policy.quorum);
}
