import { describe } from 'vitest';
import { engineSuite } from '#test/conformance/engine.suite.ts';
import { openRealEngine } from '#test/support/real-engine.ts';

const socket = process.env['ORCHESTRA_TEST_PODMAN'];

if (socket !== undefined && socket !== '') {
  engineSuite('Podman', () => openRealEngine(`unix://${socket}`));
} else {
  // Podman's compatible API (4.3.1 tried) does not read back masked paths, cgroup namespace and
  // runtime, adds tmpfs on /run and /var/tmp, and keeps the image's variables: every sandbox is
  // refused as a mismatch. Name a socket here when that is answered for.
  describe.todo('the engine contract, Podman: skipped, ORCHESTRA_TEST_PODMAN names no socket');
}
