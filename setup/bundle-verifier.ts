import { chmodSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

/** Makes `verifier/dist/`: the verifier as one file without dependencies. */
export async function bundleVerifier(root: string): Promise<void> {
  const folder = path.join(root, 'verifier');
  const outfile = path.join(folder, 'dist/orchestra-verify.mjs');
  rmSync(path.dirname(outfile), { recursive: true, force: true });
  await build({
    absWorkingDir: folder,
    entryPoints: ['main.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    logLevel: 'warning',
  });
  chmodSync(outfile, 0o755);
}

if (import.meta.main) await bundleVerifier(path.resolve(import.meta.dirname, '..'));
