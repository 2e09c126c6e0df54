import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from '#daemon/engine/open.ts';
import { openPermitOffice } from '#daemon/policy/permit.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { podmanMissing, startRootlessPodman } from '#test/support/podman.ts';

// With cgroup v2 a user's limits may be delegated and then hold: nothing to refuse.
const missing =
  podmanMissing() ??
  (existsSync('/sys/fs/cgroup/cgroup.controllers') ? 'cgroup v2 delegates limits' : undefined);

describe.skipIf(missing !== undefined)(`a rootless Podman ${missing ?? 'is here'}`, () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'orchestra-rootless-test-'));
  let podman: Awaited<ReturnType<typeof startRootlessPodman>>;
  beforeAll(async () => {
    podman = await startRootlessPodman();
  });
  afterAll(async () => {
    await (podman as typeof podman | undefined)?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  test('is refused before anything runs where the kernel gives it no limits to set', async () => {
    const log = new MemoryLog();
    const engine = openEngine({
      host: podman.host,
      dir,
      log,
      office: openPermitOffice(),
      floor: { roots: [dir], secrets: [] },
    });
    await expect(engine.facts()).rejects.toMatchObject({
      code: 'engine.unavailable',
      message: expect.stringContaining('it enforces no limits here') as string,
    });
    engine.close();
    expect(log.entries).toEqual([]);
  });
});
