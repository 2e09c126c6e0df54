import { hash } from 'node:crypto';
import type { Digest } from '#contract/ids.ts';
import { layerDigest } from '#daemon/workspace/manifest.ts';

type Task = {
  id: string;
  tool: 'sh';
  args: string[];
  deps: string[];
  outputs: { name: string; path: string }[];
};

/** A plan, and what any run of it has to leave: computed, so that no run has to be believed. */
export type Known = {
  text: string;
  tasks: readonly string[];
  /** Of each task: every byte that it says, the digest of its layer and that of its artifact. */
  says: ReadonlyMap<string, string>;
  layers: ReadonlyMap<string, Digest>;
  artifacts: ReadonlyMap<string, string>;
};

/**
 * Diamonds of four tasks with a tail, the later half of them hanging on the earlier. Each task prints
 * numbered lines and writes one file out of those of the tasks before it: for 0.05 to 0.5 s, and with
 * `slow` every fifth task for ten times as long. `variant` is in every file, so that no layer of
 * another run is there already.
 */
export function knownPlan({
  diamonds,
  variant,
  slow = false,
}: {
  diamonds: number;
  variant: number;
  slow?: boolean;
}): Known {
  const tasks: Task[] = [];
  const says = new Map<string, string>();
  const contents = new Map<string, string>();
  const add = (id: string, deps: string[]) => {
    const lines = 2 + ((tasks.length * 7) % 17);
    const pause = slow && tasks.length % 5 === 1 ? '0.25' : '0.025';
    const count = `n=0; while [ $n -lt ${lines} ]; do n=$((n+1)); echo ${id} $n; sleep ${pause}; done`;
    const files = deps.map((dep) => `${dep}.txt`).join(' ');
    const write = `{ ${deps.length === 0 ? '' : `cat ${files};`} echo ${id} ${variant}; } > ${id}.txt`;
    const outputs = [{ name: 'text', path: `${id}.txt` }];
    tasks.push({ id, tool: 'sh', args: ['-c', `${count}; ${write}`], deps, outputs });
    says.set(id, Array.from({ length: lines }, (_, at) => `${id} ${at + 1}\n`).join(''));
    const before = deps.map((dep) => contents.get(dep) ?? '').join('');
    contents.set(id, `${before}${id} ${variant}\n`);
  };
  const half = Math.ceil(diamonds / 2);
  for (let n = 0; n < diamonds; n += 1) {
    add(`a${n}`, n >= half ? [`e${n - half}`] : []);
    add(`b${n}`, [`a${n}`]);
    add(`c${n}`, [`a${n}`]);
    add(`d${n}`, [`b${n}`, `c${n}`]);
    add(`e${n}`, [`d${n}`]);
  }
  return {
    text: JSON.stringify({ version: 1, tasks }),
    tasks: tasks.map(({ id }) => id),
    says,
    layers: new Map([...contents].map(([id, text]) => [id, layerOf(`${id}.txt`, text)])),
    artifacts: new Map([...contents].map(([id, text]) => [id, hash('sha256', text, 'hex')])),
  };
}

function layerOf(path: string, text: string): Digest {
  const bytes = Buffer.byteLength(text);
  return layerDigest([{ type: 'file', path, executable: false, bytes, digest: sha256(text) }]);
}

function sha256(text: string): Digest {
  return `sha256:${hash('sha256', text, 'hex')}`;
}
