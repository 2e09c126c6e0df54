import { chmodSync, globSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build, type Plugin } from 'esbuild';

/**
 * Makes `dist/`, what an installed package runs: Node strips types nowhere under `node_modules`.
 * An entry a program, split into chunks, so that what is imported late stays unloaded until then.
 * Dependencies stay outside, under their own licences; they are installed beside the package.
 */
export async function bundle(root: string, outdir = path.join(root, 'dist')): Promise<void> {
  const { dependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  rmSync(outdir, { recursive: true, force: true });
  const workers = findWorkers(root);
  await build({
    absWorkingDir: root,
    entryPoints: {
      orchestra: 'cli/main.ts',
      orchestrad: 'daemon/main.ts',
      'orchestra-signer': 'signer/main.ts',
      'orchestra-witness': 'witness/main.ts',
      ...Object.fromEntries([...workers].map(([file, name]) => [name, file])),
    },
    plugins: [namedWorkers(workers)],
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // Small and pure: carrying it saves the walk through its many files at every start.
    external: Object.keys(dependencies).filter((name) => !carried.has(name)),
    legalComments: 'inline',
    logLevel: 'warning',
  });
  for (const name of ['orchestra', 'orchestrad', 'orchestra-signer', 'orchestra-witness']) {
    chmodSync(path.join(outdir, `${name}.mjs`), 0o755);
  }
}

const carried = new Set(['commander', 'picocolors', 'string-width']);

const workerPattern = /new URL\('(\.\/[\w./-]+)\.ts', import\.meta\.url\)/g;

/** Files that another file starts by their address, such as worker threads → their names in `dist/`. */
function findWorkers(root: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of globSync('daemon/**/*.ts', { cwd: root })) {
    const text = readFileSync(path.join(root, file), 'utf8');
    for (const [, relative = ''] of text.matchAll(workerPattern)) {
      const worker = path.resolve(root, path.dirname(file), `${relative}.ts`);
      found.set(worker, path.relative(root, worker).replace(/\.ts$/, '').replaceAll(path.sep, '-'));
    }
  }
  return found;
}

// Every chunk lies in `dist/` itself, so a worker is beside whatever names it.
function namedWorkers(workers: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'named-workers',
    setup: (esbuild) => {
      esbuild.onLoad({ filter: /[\\/]daemon[\\/].*\.ts$/ }, ({ path: file }) => {
        const text = readFileSync(file, 'utf8');
        if (text.search(workerPattern) === -1) return undefined;
        const contents = text.replaceAll(workerPattern, (_all, relative: string) => {
          const name = workers.get(path.resolve(path.dirname(file), `${relative}.ts`)) ?? relative;
          return `new URL('./${name}.mjs', import.meta.url)`;
        });
        return { contents, loader: 'ts' };
      });
    },
  };
}

if (import.meta.main) await bundle(path.resolve(import.meta.dirname, '..'));
