import { afterAll, beforeAll, describe } from 'vitest';
import { engineSuite } from '#test/conformance/engine.suite.ts';
import { isolationSuite, type Extra } from '#test/conformance/isolation.suite.ts';
import { openRealEngine } from '#test/support/real-engine.ts';
import { engineWith, runtimeMissing } from '#test/support/runtimes.ts';

// The engine's default, runc, has files of its own.
const runtimes: Readonly<Record<string, Extra>> = {
  crun: { dropsVolumeFlags: true },
  runsc: { ownKernel: true },
};

for (const [runtime, extra] of Object.entries(runtimes)) {
  const missing = runtimeMissing(runtime);
  describe.skipIf(missing !== undefined)(`Docker with ${runtime} ${missing ?? 'is here'}`, () => {
    let engine: Awaited<ReturnType<typeof engineWith>>;
    beforeAll(async () => {
      engine = await engineWith(runtime);
    });
    afterAll(async () => {
      await (engine as typeof engine | undefined)?.stop();
    });

    engineSuite(`Docker with ${runtime}`, () => openRealEngine(engine.host, runtime));
    isolationSuite(`Docker with ${runtime}`, extra, () => openRealEngine(engine.host, runtime));
  });
}
