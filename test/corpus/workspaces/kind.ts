import type { ProfileEntry } from '#daemon/planner/profile.ts';

/**
 * One kind of workspace, with what a person who knows such projects would have planned. A plan is a
 * line a task: `id: tool args < what it waits for`. A refusal is what its message has to speak of.
 */
export type Kind = {
  name: string;
  intent: string;
  /** Path → text; a number is the size of a file of no interest, `null` a directory. */
  files: Readonly<Record<string, string | number | null>>;
  /** Programs of the image; those of node:20-alpine if left out. */
  programs?: readonly string[];
} & ({ plan: readonly string[]; assumes?: RegExp } | { refused: RegExp });

export const nodeImage = ['npm', 'npx', 'node', 'sh', 'corepack', 'yarn'];
export const buildImage = [
  ...nodeImage,
  'cargo',
  'go',
  'python',
  'make',
  'gradle',
  'mvn',
  'cmake',
  'ctest',
];

export function entriesOf({ files }: Kind): ProfileEntry[] {
  const folders = new Set<string>();
  for (const path of Object.keys(files)) {
    const parts = path.split('/');
    for (let i = 1; i < parts.length; i += 1) folders.add(parts.slice(0, i).join('/'));
  }
  return [
    ...[...folders].map((path): ProfileEntry => ({ path, type: 'dir', size: 0 })),
    ...Object.entries(files).map(([path, content]): ProfileEntry => {
      if (content === null) return { path, type: 'dir', size: 0 };
      const size = typeof content === 'number' ? content : Buffer.byteLength(content);
      return { path, type: 'file', size };
    }),
  ];
}

/** A package.json with these scripts, and one dependency unless it says otherwise. */
export function pkg(scripts: Record<string, string>, more: Record<string, unknown> = {}): string {
  return JSON.stringify({
    name: 'project',
    version: '1.0.0',
    scripts,
    devDependencies: { 'some-tool': '^1.0.0' },
    ...more,
  });
}

/** A lockfile in which nothing runs at the install. */
export const lock = JSON.stringify({
  name: 'project',
  lockfileVersion: 3,
  packages: {
    '': { name: 'project', version: '1.0.0' },
    'node_modules/some-tool': {
      version: '1.0.0',
      resolved: 'https://registry.example/some-tool/-/some-tool-1.0.0.tgz',
      integrity: 'sha512-AAAA',
    },
  },
});
