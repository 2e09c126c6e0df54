import { afterAll, beforeAll, describe } from 'vitest';
import { engineSuite } from '#test/conformance/engine.suite.ts';
import { isolationSuite } from '#test/conformance/isolation.suite.ts';
import { podmanMissing, startPodman } from '#test/support/podman.ts';
import { openRealEngine } from '#test/support/real-engine.ts';

const missing = podmanMissing();

describe.skipIf(missing !== undefined)(`Podman ${missing ?? 'is here'}`, () => {
  let podman: Awaited<ReturnType<typeof startPodman>>;
  beforeAll(async () => {
    podman = await startPodman();
  });
  afterAll(async () => {
    await (podman as typeof podman | undefined)?.stop();
  });

  engineSuite('Podman', () => openRealEngine(podman.host));
  // Its first process, catatonit, says 1 where Docker's tini says 127.
  isolationSuite('Podman', { exitOfNoProgram: 1 }, () => openRealEngine(podman.host));
});
