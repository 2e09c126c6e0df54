import { hash } from 'node:crypto';
import { expect, test } from 'vitest';
import { claimPath as probedPath } from '#daemon/tools/advertised/probe-script.ts';
import { readProbe } from '#daemon/tools/advertised/read-probe.ts';
import { claimPath, toolsClaim } from '#setup/image/tools-claim.ts';
import { Tree } from '#setup/image/tree.ts';

const sha = (text: string) => hash('sha256', text, 'hex');

function sampleTree(): Tree {
  const tree = new Tree();
  tree.file('bin/busybox', 'small', 0o755);
  tree.symlink('bin/sh', '/bin/busybox');
  tree.symlink('usr/bin/env', '../../bin/busybox');
  tree.symlink('usr/bin/round', 'round');
  tree.symlink('usr/bin/dangling', '/nowhere');
  tree.file('usr/bin/notes', 'text', 0o644);
  tree.file('usr/local/bin/node', 'first', 0o755);
  tree.file('bin/node', 'second', 0o755);
  tree.file('opt/hidden', 'x', 0o755);
  return tree;
}

test('an image says of each program in PATH what its file is, and of none besides', () => {
  const claim = JSON.parse(toolsClaim(sampleTree(), { node: '20.1.0', ghost: '1.0' })) as unknown;
  expect(claim).toEqual({
    version: 1,
    tools: [
      { name: 'busybox', sha256: sha('small') },
      { name: 'env', sha256: sha('small') },
      { name: 'node', sha256: sha('first'), version: '20.1.0' },
      { name: 'sh', sha256: sha('small') },
    ],
  });
});

test('the daemon looks where the image says it, and takes what it says where that is so', () => {
  expect(`/${claimPath}`).toBe(probedPath);
  const claim = toolsClaim(sampleTree(), { node: '20.1.0' })
    .split('\n')
    .map((line) => `c ${line}`);
  const probed = readProbe(
    [
      'p /usr/local/bin/node /usr/local/bin/node',
      `h ${sha('first')}  /usr/local/bin/node`,
      'm',
      ...claim,
    ].join('\n'),
  );
  expect(probed?.tools).toMatchObject([{ name: 'node', version: '20.1.0' }]);
  expect(probed?.wrong).toEqual(['busybox', 'env', 'sh']);
});
