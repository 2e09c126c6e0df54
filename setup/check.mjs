// `npm run check`: everything that can be said of the sources without an engine.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/**
 * The tests show what they do; what reads the sources runs beside them and is shown when it ends.
 * Everything is tried even after a failure: one run shows all there is to mend. With `--sources` the
 * unit tests are left to whoever runs all tests anyway.
 */
export async function check({ node, env }, { root, progress, start, sourcesOnly = false }) {
  const bin = (name) => path.join(root, 'node_modules', name);
  const kept = (name) => path.join(root, '.toolchain', 'check', name);
  fs.mkdirSync(kept(''), { recursive: true });
  // By content, not by time: a checkout that was copied or switched is not judged by its dates.
  const cache = ['--cache', '--cache-strategy=content', `--cache-location=${kept('format')}`];
  const prettier = bin('prettier/bin/prettier.cjs');
  const readers = [
    [
      'types',
      bin('typescript/bin/tsc'),
      '-p',
      '.',
      '--incremental',
      '--tsBuildInfoFile',
      kept('types'),
    ],
    ['lint', bin('oxlint/bin/oxlint'), '--type-aware', '.'],
    ['dead code', bin('knip/bin/knip.js')],
    ['format', prettier, '--check', '--log-level=warn', '.', ...cache],
  ];
  const failed = [];
  const read = async () => {
    for (const [title, ...arguments_] of readers) {
      const { code, output } = await quietly(node, arguments_, { cwd: root, env });
      progress(`${title}${code === 0 ? '' : ' failed'}`);
      if (code === 0) continue;
      process.stderr.write(output);
      failed.push(title);
    }
  };
  const test = async () => {
    const tests = [bin('vitest/vitest.mjs'), 'run', '--project', 'unit'];
    if ((await start({ node, env }, tests)) !== 0) failed.push('unit tests');
  };
  await Promise.all([read(), ...(sourcesOnly ? [] : [test()])]);
  progress(failed.length === 0 ? 'all checks passed' : `failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}

function quietly(node, arguments_, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, arguments_, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = [];
    child.stdout.on('data', (part) => output.push(part));
    child.stderr.on('data', (part) => output.push(part));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output: Buffer.concat(output) }));
  });
}
