import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LayerEntry } from '#contract/snapshot.ts';
import type { PreparedLayer, SealedLayer, Stack } from '#daemon/workspace/layers.ts';
import type { Workspace } from '#daemon/workspace/open.ts';
import { Scratch } from '../unit/workspace/support.ts';

/** One way in which a task gets to see its layers, and what it does gets into its own. */
export type LayersWay = {
  /**
   * Runs a script as the user of a sandbox in what `prepared` shows, and answers what it printed.
   * What it changed is in the upper directory afterwards, ready to be sealed.
   */
  run(workspace: Workspace, prepared: PreparedLayer, script: string): Promise<string>;
  close?(): Promise<void>;
};

const roomy = { bytes: 2 ** 40, files: 2 ** 20 };
export { roomy };

/**
 * What tasks do to a workspace and the layer that comes of it, whichever way they got to it. The
 * digests are part of it: a result is found again by them, whoever left it.
 */
const changes: readonly { name: string; script: string; entries: readonly string[] }[] = [
  { name: 'nothing at all', script: 'ls > /dev/null', entries: [] },
  {
    name: 'files made, changed and deleted',
    script: 'echo new > new.txt; echo more >> a.txt; rm b.txt link; chmod +x new.txt',
    entries: ['file a.txt', 'whiteout b.txt', 'whiteout link', 'file new.txt x'],
  },
  {
    name: 'the same written back, touched, and modes that nobody keeps',
    script:
      'cp a.txt t; cat t > a.txt; rm t; touch -d 2001-01-01 b.txt; chmod 700 src; chmod 600 b.txt',
    entries: [],
  },
  {
    name: 'an executable bit alone',
    script: 'chmod +x a.txt; chmod -x run.sh',
    entries: ['file a.txt x', 'file run.sh'],
  },
  {
    name: 'a whole directory deleted',
    script: 'rm -r src/old; rm -r deep',
    entries: ['whiteout deep', 'whiteout src/old'],
  },
  {
    name: 'all that there was in a directory deleted',
    script: 'rm -r deep/er/most',
    entries: ['opaque deep/er'],
  },
  {
    name: 'a directory made anew with other names in it',
    script: 'rm -r src/old; mkdir src/old; echo 3 > src/old/three',
    entries: ['opaque src/old', 'file src/old/three'],
  },
  {
    name: 'a directory emptied name by name and filled with others',
    script: 'rm src/old/*; echo 3 > src/old/three',
    entries: ['opaque src/old', 'file src/old/three'],
  },
  {
    name: 'a directory made anew with some of the same in it',
    script: 'cp src/old/one t; rm -r src/old; mkdir src/old; cp t src/old/one; rm t',
    entries: ['whiteout src/old/two'],
  },
  {
    name: 'a directory made anew with directories that were there in it',
    script: 'rm -r deep; mkdir -p deep/er/most deep/new; echo x > deep/er/most/x',
    entries: ['opaque deep/er/most', 'file deep/er/most/x', 'dir deep/new', 'whiteout deep/side'],
  },
  {
    name: 'empty directories',
    script: 'mkdir -p one/two; mkdir three; rm src/old/*',
    entries: ['dir one', 'dir one/two', 'opaque src/old', 'dir three'],
  },
  {
    name: 'a file in place of a directory, a directory in place of a file, a link in place of both',
    script:
      'rm -r deep; echo f > deep; rm a.txt; mkdir a.txt; echo d > a.txt/in; rm b.txt; ln -s /etc/passwd b.txt',
    entries: ['dir a.txt', 'file a.txt/in', 'symlink b.txt', 'file deep'],
  },
  {
    name: 'links, pointed elsewhere, long and leading out',
    script: `ln -sf b.txt link; ln -s ../../../../etc/shadow out; ln -s "${'x'.repeat(300)}" long`,
    entries: ['symlink link', 'symlink long', 'symlink out'],
  },
  {
    name: 'several names of one file',
    script: 'ln a.txt hard; ln run.sh src/hard; echo n > n; ln n src/n',
    entries: ['file hard', 'file n', 'file src/hard x', 'file src/n'],
  },
  {
    name: 'names that are no text, and long ones',
    script: `n=$(printf 'b\\377\\001d'); mkdir "$n"; echo 1 > "$n/$n"; mkdir -p ${'l'.repeat(120)}/${'m'.repeat(120)}; echo 2 > ${'l'.repeat(120)}/${'m'.repeat(120)}/n; echo 3 > '.wh.a.txt'; echo 4 > ' nl
x '`,
    entries: [
      'file  nl\nx ',
      'file .wh.a.txt',
      '/b64/ dir',
      '/b64/ file',
      `dir ${'l'.repeat(120)}`,
      `dir ${'l'.repeat(120)}/${'m'.repeat(120)}`,
      `file ${'l'.repeat(120)}/${'m'.repeat(120)}/n`,
    ],
  },
  {
    name: 'a large file that is mostly holes',
    script: 'truncate -s 40M holes; printf end >> holes; head -c 9000000 /dev/zero > zeros',
    entries: ['file holes', 'file zeros'],
  },
  {
    name: 'a large file that was there, as it was and changed in its middle',
    script:
      'cp big t; cat t > big; rm t; printf x | dd of=big2 bs=1 seek=5000000 conv=notrunc 2>/dev/null',
    entries: ['file big2'],
  },
  {
    name: 'what is no file',
    script: 'mkfifo pipe; rm b.txt; mkfifo b.txt; echo s > s; chmod 6755 s',
    entries: ['file s x'],
  },
];

export function layersSuite(name: string, open: () => Promise<LayersWay>): void {
  describe(`layers, ${name}`, () => {
    let way: LayersWay;
    let scratch: Scratch;
    let workspace: Workspace;
    let snapshot: string;

    beforeAll(async () => {
      way = await open();
      scratch = new Scratch();
      fs.chmodSync(scratch.root, 0o755);
      snapshot = await makeSnapshot(scratch);
      workspace = await scratch.workspace();
    });
    afterAll(async () => {
      await way.close?.();
      await (scratch as Scratch | undefined)?.[Symbol.asyncDispose]();
    });

    async function task(stack: Partial<Stack>, script: string) {
      const prepared = await workspace.layers.prepare({ snapshot, ancestors: [], ...stack });
      const said = await way.run(workspace, prepared, script);
      const sealed = await workspace.layers.seal(prepared);
      return { sealed, said, entries: [...workspace.layers.entries(sealed.digest)] };
    }

    test.each(changes)('$name', async ({ script, entries }) => {
      const { sealed, entries: got } = await task({}, script);
      expect(got.map(inWords).toSorted()).toEqual(entries.toSorted());
      expect(sealed.digest).toBe(digests[script] ?? sealed.digest);
      digests[script] = sealed.digest;
      expect(await workspace.layers.check(sealed.digest)).toMatchObject({ state: 'sound' });
    });

    test('what is left out is said', async () => {
      const { sealed } = await task({}, 'mkfifo pipe; echo s > s; chmod 4755 s; chmod u+s b.txt');
      expect(sealed.leftOut.map(({ path, reason }) => `${path} ${reason}`).toSorted()).toEqual([
        'b.txt set-id',
        'pipe fifo',
        's set-id',
      ]);
      expect(sealed.leftOutCount).toBe(3);
    });

    test('a task sees the layers of those before it, and leaves what it changed of them', async () => {
      const first = await task(
        {},
        'echo 1 >> a.txt; rm b.txt; rm -r src/old; mkdir src/old; echo n > src/old/n; mkdir e',
      );
      const before = [{ taskId: 'first', layer: first.sealed.digest, deps: [] }];
      const second = await task(
        { ancestors: before },
        'find . -not -name "big*" | LC_ALL=C sort; cat a.txt; echo b > b.txt; rm src/old/n; rmdir e',
      );
      expect(second.said).toBe(
        '.\n./a.txt\n./deep\n./deep/er\n./deep/er/most\n./deep/er/most/f\n./deep/side\n./e\n./link\n./run.sh\n./src\n./src/kept\n./src/old\n./src/old/n\na\n1\n',
      );
      expect(second.entries.map(inWords)).toEqual(['file b.txt', 'whiteout e', 'opaque src/old']);
      const third = await task(
        {
          ancestors: [
            ...before,
            { taskId: 'second', layer: second.sealed.digest, deps: ['first'] },
          ],
        },
        'ls src/old; ls; cat b.txt; stat -c "%a %u" a.txt; test -w a.txt && test -w . && test -w src && echo mine',
      );
      expect(third.said).toBe(
        'a.txt\nb.txt\nbig\nbig2\ndeep\nlink\nrun.sh\nsrc\nb\n644 1000\nmine\n',
      );
    });

    test('of a part of the snapshot, what was deleted is said name by name', async () => {
      const { snapshots } = workspace;
      const part = await snapshots.subset(snapshot, { inputs: ['src/old/one', 'a.txt'], cwd: '.' });
      const stack = { snapshot: part, partial: true as const };
      const gone = await task(stack, 'ls src/old; rm -r src');
      expect(gone.said).toBe('one\n');
      expect(gone.entries.map(inWords)).toEqual(['whiteout src/old/one']);
      const anew = await task(stack, 'rm -r src/old; mkdir src/old; echo > src/old/x');
      expect(anew.entries.map(inWords)).toEqual(['whiteout src/old/one', 'file src/old/x']);
    });

    test('what a file holds is read through no link, and outputs are those of the task', async () => {
      const prepared = await workspace.layers.prepare({ snapshot, ancestors: [] });
      await way.run(workspace, prepared, 'mkdir out; echo 1 > out/f; ln -s /etc/passwd out/l');
      const { artifacts } = await workspace.collect({
        roots: [prepared.upper, ...prepared.lower],
        outputs: [{ name: 'out', path: 'out', required: true }],
        limits: { filesMax: 10, bytesMax: 1000, depthMax: 5 },
      });
      expect(artifacts).toMatchObject([{ name: 'out', files: 1 }]);
      await workspace.layers.drop(prepared);
    });
  });
}

/** Of whichever way came first in this process: the others have to come to the same. */
const digests: Record<string, SealedLayer['digest']> = {};

function inWords(entry: LayerEntry): string {
  const path = entry.path.startsWith('/b64/') ? '/b64/' : undefined;
  if (path !== undefined) return `${path} ${entry.type}`;
  if (entry.type === 'dir' && entry.opaque === true) return `opaque ${entry.path}`;
  const mode = entry.type === 'file' && entry.executable ? ' x' : '';
  return `${entry.type} ${entry.path}${mode}`;
}

async function makeSnapshot(scratch: Scratch): Promise<string> {
  const dir = join(scratch.root, 'project');
  for (const each of ['src/old', 'deep/er/most'])
    fs.mkdirSync(join(dir, each), { recursive: true });
  const files = {
    'a.txt': 'a\n',
    'b.txt': 'b\n',
    'src/kept': 'k\n',
    'src/old/one': '1\n',
    'src/old/two': '2\n',
  };
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(join(dir, name), text);
  fs.writeFileSync(join(dir, 'deep/er/most/f'), 'f\n');
  fs.writeFileSync(join(dir, 'deep/side'), 's\n');
  fs.writeFileSync(join(dir, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 });
  const big = Buffer.alloc(9_000_000, 'all the same each time');
  for (const name of ['big', 'big2']) fs.writeFileSync(join(dir, name), big);
  fs.symlinkSync('a.txt', join(dir, 'link'));
  return (await scratch.snapshot(dir)).digest;
}
