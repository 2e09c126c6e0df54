import { engineSuite } from '#test/conformance/engine.suite.ts';
import { openRealEngine } from '#test/support/real-engine.ts';

engineSuite('the engine of this machine', () => openRealEngine());
