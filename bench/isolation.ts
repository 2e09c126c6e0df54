/**
 * What each rung of the ladder of isolation costs: every engine and runtime of this machine in turn,
 * each with a daemon of its own. `node bench/isolation.ts [rounds]`, as root. Raw samples go to
 * `bench/results/isolation.json`, and the table of docs/ISOLATION.md is written from them.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { stopEngine } from '#setup/engine/control.ts';
import { findEngine } from '#setup/engine/find.ts';
import { startPrivateEngine } from '#setup/engine/private.ts';
import { enginePaths } from '#setup/paths.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { copyTestImage, podmanMissing, startPodman } from '#test/support/podman.ts';
import { runtimeMissing } from '#test/support/runtimes.ts';
import { measure, npmCi } from './isolation/measure.ts';
import { costTable, withTable, type IsolationResult } from './isolation/table.ts';

const root = new URL('..', import.meta.url).pathname;
const rounds = Number(process.argv[2] ?? 10);
const document = join(root, 'docs/ISOLATION.md');

const dir = mkdtempSync(join(tmpdir(), 'oi-'));
const result: IsolationResult = {
  at: new Date().toISOString(),
  rounds,
  load: loadavg(),
  machine: `${availableParallelism()} cores, kernel ${release().split('-')[0] ?? ''}`,
  rungs: [],
  missing: [],
};

const workspace = join(dir, 'w');
mkdirSync(workspace);
writeFileSync(join(workspace, 'hello.txt'), 'hello\n');
const project = join(dir, 'project');
cpSync(join(root, 'examples/typescript-project'), project, {
  recursive: true,
  filter: (path) => !/\/(?:node_modules|runs|dist)(?:\/|$)/.test(path),
});

async function rung(engine: string, runtime: string, host: string): Promise<void> {
  process.stderr.write(`${engine} with ${runtime}\n`);
  const config = join(dir, `${engine}-${runtime}.yaml`);
  writeFileSync(config, `runtime: ${runtime}\n`);
  await using daemon = await TestDaemon.start(['--engine', host, '--config', config]);
  const measured = await measure(daemon, workspace, rounds);
  const npmCiMs = await npmCi(daemon, project);
  const { kernel, figures, samples } = measured;
  const seen = kernel === release() ? 'the host’s' : `its own (${kernel})`;
  result.rungs.push({ engine, runtime, kernel: seen, figures: { ...figures, npmCiMs }, samples });
}

const missing = (engine: string, runtime: string, why: string) =>
  result.missing.push({ engine, runtime, why });

// An engine learns of a runtime when it starts, so this one is new; the image is the machine's.
const machine = await findEngine({ env: process.env });
const engineDir = join(dir, 'e');
const paths = enginePaths({ ORCHESTRA_ENGINE_DIR: engineDir });
// The daemons have to know it too: its folder is where layers reach sandboxes that wait.
process.env['ORCHESTRA_ENGINE_DIR'] = engineDir;
try {
  const { host } = await startPrivateEngine(paths, () => {});
  await copyTestImage(host, machine.host);
  for (const runtime of ['runc', 'crun', 'runsc']) {
    const why = runtimeMissing(runtime);
    if (why === undefined) await rung('Docker', runtime, host);
    else missing('Docker', runtime, why);
  }
} finally {
  delete process.env['ORCHESTRA_ENGINE_DIR'];
  await stopEngine(paths, { force: true, progress: () => {} });
}
for (const runtime of ['crun', 'runc']) {
  const why = podmanMissing(runtime);
  if (why !== undefined) {
    missing('Podman', runtime, why);
    continue;
  }
  const podman = await startPodman(runtime);
  try {
    await rung('Podman', runtime, podman.host);
  } finally {
    await podman.stop();
  }
}
missing(
  'Podman, rootless',
  'any',
  'the kernel gives it no limits with cgroup v1, so it is refused',
);
missing('Docker', 'kata', 'not installed, and it wants Docker 23 and a hypervisor');

const results = join(root, 'bench/results');
mkdirSync(results, { recursive: true });
writeFileSync(join(results, 'isolation.json'), `${JSON.stringify(result, null, 2)}\n`);
const table = costTable(result);
const text = withTable(readFileSync(document, 'utf8'), table);
writeFileSync(
  document,
  await format(text, { ...(await resolveConfig(document)), parser: 'markdown' }),
);
process.stdout.write(`${table}\n`);
rmSync(dir, { recursive: true, force: true });
