import { engineSuite, suiteScripts } from '#test/conformance/engine.suite.ts';
import { openFakeSandboxes } from '#test/support/fake-sandbox.ts';

engineSuite('the fake', () => {
  const { engine, permit, fake } = openFakeSandboxes(
    ({ command }) => suiteScripts[command[2] ?? ''] ?? {},
  );
  let made = 0;
  return Promise.resolve({
    engine,
    permit: (change = {}) => permit({ name: `box-${++made}`, ...change }),
    restart: () => {
      const { engine: again, office } = openFakeSandboxes({}, { fake });
      return { engine: again, permit: (spec) => office.mint(spec) };
    },
    volume: (target) => ({
      kind: 'volume',
      lower: ['/state/layers/low'],
      upper: '/state/layers/up',
      work: '/state/layers/work',
      target,
    }),
    install: 'test',
    isFake: true,
    close: () => Promise.resolve(),
  });
});
