import { engineSuite, suiteScripts } from '#test/conformance/engine.suite.ts';
import { openFakeSandboxes } from '#test/support/fake-sandbox.ts';

engineSuite('the fake', () => {
  const { engine, permit } = openFakeSandboxes(
    ({ command }) => suiteScripts[command[2] ?? ''] ?? {},
  );
  let made = 0;
  return Promise.resolve({
    engine,
    permit: (change = {}) => permit({ name: `box-${++made}`, ...change }),
    install: 'test',
    isFake: true,
    close: () => Promise.resolve(),
  });
});
