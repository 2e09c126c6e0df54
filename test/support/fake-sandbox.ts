import { systemClock } from '#daemon/base/clock.ts';
import type { Doors } from '#daemon/engine/doors.ts';
import type { Engine } from '#daemon/engine/engine.ts';
import { guardEngine } from '#daemon/engine/guard.ts';
import { openPermitOffice } from '#daemon/policy/permit.ts';
import type { SandboxSpec } from '#daemon/policy/spec.ts';
import { withoutSlots } from '#daemon/sandbox/ready-slots.ts';
import { FakeEngine, fakeHost, type Script } from './fake-engine.ts';
import { MemoryLog } from './memory-log.ts';
import { testSpec } from './sandbox-spec.ts';

/** A guarded fake engine and what goes with it. */
export function openFakeSandboxes(
  script: Script | ((spec: SandboxSpec) => Script) = {},
  // Far off, so that a busy machine does not meet them: who waits for one says so.
  {
    doors,
    deadlineMs = 30_000,
    fake = new FakeEngine(typeof script === 'function' ? script : () => script),
  }: {
    doors?: Doors;
    deadlineMs?: number;
    /** One that an earlier daemon had: what goes with it is that of a daemon that starts. */
    fake?: FakeEngine;
  } = {},
) {
  const log = new MemoryLog();
  const office = openPermitOffice();
  const engine: Engine = guardEngine({
    driver: fake,
    log,
    office,
    floor: { roots: ['/state/layers'], secrets: ['/state/log'] },
    host: fakeHost,
    doors,
    sameMachine: false,
    deadlineMs,
  });
  const slots = withoutSlots(engine);
  return {
    fake,
    log,
    office,
    engine,
    slots,
    deps: { engine, slots, log, clock: systemClock(), graceMs: 20, killMs: deadlineMs },
    permit: (change: Partial<SandboxSpec> = {}) => office.mint(testSpec(change)),
  };
}

/** A sink that keeps what it is given. */
export function keepOutput() {
  const pieces: { s: 0 | 1 | 2; text: string }[] = [];
  return {
    pieces,
    write: (s: 1 | 2, bytes: Uint8Array) => {
      pieces.push({ s, text: Buffer.from(bytes).toString() });
      return Promise.resolve();
    },
    text: (s: 0 | 1 | 2) =>
      pieces
        .filter((piece) => piece.s === s)
        .map(({ text }) => text)
        .join(''),
  };
}
