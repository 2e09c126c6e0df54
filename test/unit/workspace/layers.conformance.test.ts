import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'vitest';
import { layersSuite, roomy } from '#test/conformance/layers.suite.ts';
import { inOverlay, overlays, script } from './overlay.ts';

if (overlays) {
  layersSuite('mounted', () =>
    Promise.resolve({
      run: (_workspace, prepared, text) =>
        Promise.resolve(inOverlay(prepared, fs.mkdtempSync('/tmp/orc-m-'), script(text))),
    }),
  );

  layersSuite('as tar streams', () =>
    Promise.resolve({
      // An engine that is all tar: what it unpacks is a plain directory of some other machine.
      async run({ layers }, prepared, text) {
        const there = fs.mkdtempSync('/tmp/orc-there-');
        const dir = join(there, 'workspace');
        try {
          fs.mkdirSync(dir);
          fs.chmodSync(there, 0o755);
          const unpack = spawn('tar', ['-xpf', '-', '-C', dir, '--numeric-owner'], {
            stdio: ['pipe', 'ignore', 'ignore'],
          });
          const done = new Promise((resolve) => unpack.once('close', resolve));
          await pipeline(
            layers.send({ lower: prepared.lower, owner: { uid: 1000, gid: 1000 } }),
            unpack.stdin,
          );
          await done;
          fs.chownSync(dir, 1000, 1000);
          const said = script(text)(dir);
          const pack = spawn('tar', ['--format=pax', '-cf', '-', '-C', there, 'workspace'], {
            stdio: ['ignore', 'pipe', 'inherit'],
          });
          // What nobody reads yet when a child ends, Node throws away.
          const tar = pack.stdout.pipe(new PassThrough());
          await layers.readBack(prepared, tar, { allowance: roomy });
          return said;
        } finally {
          fs.rmSync(there, { recursive: true, force: true });
        }
      },
    }),
  );
} else describe.skip('layers need root and a kernel that mounts overlays', () => test('both ways'));
