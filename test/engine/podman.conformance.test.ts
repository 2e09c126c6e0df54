import { afterAll, beforeAll, describe } from 'vitest';
import { engineSuite } from '#test/conformance/engine.suite.ts';
import { isolationSuite } from '#test/conformance/isolation.suite.ts';
import { podmanMissing, startPodman } from '#test/support/podman.ts';
import { openRealEngine } from '#test/support/real-engine.ts';

for (const runtime of ['crun', 'runc']) {
  const missing = podmanMissing(runtime);
  describe.skipIf(missing !== undefined)(`Podman with ${runtime} ${missing ?? 'is here'}`, () => {
    let podman: Awaited<ReturnType<typeof startPodman>>;
    beforeAll(async () => {
      podman = await startPodman(runtime);
    });
    afterAll(async () => {
      await (podman as typeof podman | undefined)?.stop();
    });

    engineSuite(`Podman with ${runtime}`, () => openRealEngine(podman.host));
    isolationSuite(`Podman with ${runtime}`, {}, () => openRealEngine(podman.host));
  });
}
