import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hintsMax } from '#contract/hints.ts';
import { hintCatalog } from '#daemon/sandbox/hint-catalog.ts';
import { hintById, hintsIn, plainLine } from '#daemon/sandbox/hints.ts';
import { OutputTail, tailBytes } from '#daemon/sandbox/output-tail.ts';

function hintsOf(stderr: string, stdout = ''): string[] {
  return found(stderr, stdout).map(({ id }) => id);
}

function found(stderr: string, stdout = '') {
  const tail = new OutputTail();
  tail.see(2, Buffer.from(stderr));
  tail.see(1, Buffer.from(stdout));
  return hintsIn(tail);
}

/** What the programs themselves said, in a sandbox or on a machine without network. */
const said: [string, string][] = [
  [
    'packages.unpinned',
    "npm error code ENOTCACHED\nnpm error request to https://registry.example/left-pad failed: cache mode is 'only-if-cached' but no cached response is available.\nnpm error Log files were not written due to an error writing to the directory: /opt/npm-cache/_logs\nnpm error You can rerun the command with `--loglevel=verbose` to see the logs in your terminal",
  ],
  [
    'network.name',
    'npm error code EAI_AGAIN\nnpm error syscall getaddrinfo\nnpm error errno EAI_AGAIN\nnpm error request to https://registry.example/left-pad failed, reason: getaddrinfo EAI_AGAIN registry.example',
  ],
  [
    'network.name',
    "TypeError: fetch failed\n    at node:internal/deps/undici/undici:14976:13\n  [cause]: Error: getaddrinfo EAI_AGAIN registry.example\n    errno: -3001,\n    code: 'EAI_AGAIN',\n    hostname: 'registry.example'",
  ],
  ['network.name', "Error: queryA ECONNREFUSED example.com\n  code: 'ECONNREFUSED',"],
  ['network.name', "wget: bad address 'example.com'"],
  ['network.name', 'wget: unable to resolve host address ‘example.com’'],
  ['network.name', 'curl: (6) Could not resolve host: example.com'],
  [
    'network.name',
    'urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>',
  ],
  [
    'network.unreachable',
    "Error: connect ENETUNREACH 1.1.1.1:80 - Local (0.0.0.0:0)\n  errno: -101,\n  code: 'ENETUNREACH',",
  ],
  ['network.unreachable', 'Error: send ENETUNREACH 1.1.1.1:53'],
  [
    'network.local',
    "Error: connect ECONNREFUSED 127.0.0.1:5432\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)\n  code: 'ECONNREFUSED',",
  ],
  [
    'network.git',
    "Cloning into 'b'...\nfatal: unable to access 'https://host.example/a/b/': Could not resolve host: host.example",
  ],
  [
    'packages.other',
    "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError('<HTTPSConnection object>: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/certifi/\nERROR: Could not find a version that satisfies the requirement certifi (from versions: none)\nERROR: No matching distribution found for certifi",
  ],
  [
    'packages.other',
    "Err:3 http://deb.example/debian-security bookworm-security InRelease\n  Temporary failure resolving 'deb.example'\nW: Failed to fetch http://deb.example/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.example'",
  ],
  [
    'packages.other',
    'error: failed to download from `https://crates.example/api/v1/crates/serde/1.0.0/download`',
  ],
  ['packages.other', 'go: golang.org/x/text@v0.3.0: module lookup disabled by GOPROXY=off'],
  [
    'download.gyp',
    'gyp http GET https://node.example/download/release/v20.20.2/node-v20.20.2-headers.tar.gz\ngyp WARN install got an error, rolling back install\ngyp ERR! configure error\ngyp ERR! stack FetchError: request to https://node.example/x failed, reason: getaddrinfo EAI_AGAIN node.example',
  ],
  [
    'download.browser',
    'ERROR: Failed to set up Chrome v119.0.6045.105! Set "PUPPETEER_SKIP_DOWNLOAD" env variable to skip download.\nError: getaddrinfo EAI_AGAIN storage.example',
  ],
  [
    'download.browser',
    'Failed to install browsers\nError: Failed to download Chromium 120.0.6099.28 (playwright build v1091), caused by\nError: getaddrinfo ENOTFOUND playwright.example',
  ],
  ['download.browser', 'The Cypress App could not be downloaded.'],
  [
    'download.binary',
    'node-pre-gyp ERR! install request to https://files.example/x.tar.gz failed, reason: getaddrinfo EAI_AGAIN files.example',
  ],
  ['download.binary', 'prebuild-install warn install getaddrinfo EAI_AGAIN files.example'],
  [
    'download.binary',
    'RequestError: getaddrinfo EAI_AGAIN files.example\n    at /workspace/node_modules/electron/install.js:62:9',
  ],
  [
    'download.binary',
    'Error: request to https://binaries.prisma.example/all_commits/x/debian/libquery_engine.so.node.gz.sha256 failed, reason: getaddrinfo EAI_AGAIN',
  ],
  ['root.readonly', "sh: can't create /etc/foo: Read-only file system"],
  ['root.readonly', "mkdir: can't create directory '/usr/local/lib/x': Read-only file system"],
  [
    'root.readonly',
    "Error: EROFS: read-only file system, open '/usr/x'\n  errno: -30,\n  code: 'EROFS',",
  ],
  [
    'root.readonly',
    "npm error code EROFS\nnpm error syscall symlink\nnpm error rofs EROFS: read-only file system, symlink '../../../../workspace/p' -> '/usr/local/lib/node_modules/p'",
  ],
  ['kernel.readonly', "sh: can't create /proc/sys/net/ipv4/ip_forward: Read-only file system"],
  ['tmp.noexec', 'sh: /tmp/sh: Permission denied'],
  ['tmp.noexec', 'bash: line 1: /tmp/tool: Permission denied'],
  ['tmp.noexec', 'Error: spawn /tmp/tool EACCES'],
  ['capabilities.none', 'mount: permission denied (are you root?)'],
  ['capabilities.none', 'unshare: unshare(0x10000000): Operation not permitted'],
  [
    'capabilities.none',
    "chroot: can't change root directory to '/workspace': Operation not permitted",
  ],
  ['capabilities.none', 'chown: plan.yaml: Operation not permitted'],
  ['capabilities.none', 'mknod: x: Operation not permitted'],
  ['capabilities.none', 'ping: permission denied (are you root?)'],
  ['capabilities.none', 'su: must be suid to work properly'],
  ['capabilities.none', 'dmesg: klogctl: Operation not permitted'],
  ['capabilities.none', "Error: EPERM: operation not permitted, chown '/workspace/x'"],
  [
    'browser.sandbox',
    '[1122/1:FATAL:zygote_host_impl_linux.cc(127)] No usable sandbox! Update your kernel or see',
  ],
  ['user.ordinary', "sh: can't create /root/x: Permission denied"],
  ['user.ordinary', "Error: EACCES: permission denied, open '/root/x'\n  errno: -13,"],
  ['seccomp.killed', 'Bad system call'],
  ['seccomp.killed', "  status: null,\n  signal: 'SIGSYS',"],
  [
    'watchers.few',
    "Error: ENOSPC: System limit for number of file watchers reached, watch '/workspace'",
  ],
  ['limits.tmp', "Error: ENOSPC: no space left on device, write\n  errno: -28,\n  code: 'ENOSPC'"],
  ['limits.tmp', "dd: error writing '/tmp/x': No space left on device"],
  ['limits.tmp', 'cat: write error: No space left on device'],
  [
    'limits.memory',
    'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
  ],
  ['limits.memory', 'Killed'],
  ['limits.memory', "  status: null,\n  signal: 'SIGKILL',"],
  ['limits.open_files', "Error: EMFILE: too many open files, open '/dev/null'\n  errno: -24,"],
  ['limits.pids', "Error: spawn sleep EAGAIN\n  errno: -11,\n  code: 'EAGAIN',"],
  ['limits.pids', "sh: can't fork: Resource temporarily unavailable"],
  ['limits.file_size', 'File size limit exceeded'],
  ['secrets.absent', "cat: can't open '/run/secrets/NPM_TOKEN': No such file or directory"],
  ['devices.none', "cat: can't open '/dev/mem': No such file or directory"],
  ['image.tool', 'sh: git: not found'],
  ['image.tool', 'sh: 1: curl: not found'],
  ['image.tool', 'bash: line 1: docker: command not found'],
  [
    'engine.none',
    'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?',
  ],
];

describe('what programs print is told as the wall that it is', () => {
  test.each(said)('%s: %s', (id, text) => {
    expect(hintsOf(text)).toEqual([id]);
  });

  test('every entry of the catalog is among the messages, or said why not', () => {
    const shown = new Set(said.map(([id]) => id));
    const unproved = hintCatalog.map(({ id }) => id).filter((id) => !shown.has(id));
    // The filter of this kernel refuses these without a word that programs print alike.
    expect(unproved).toEqual(['seccomp.refused']);
  });
});

describe('nothing is told of', () => {
  test.each([
    ['a test that failed', 'AssertionError [ERR_ASSERTION]: 3 == 2\n    at test/cart.test.ts:41'],
    [
      'a compiler error',
      "src/a.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'.",
    ],
    [
      'a missing file of the workspace',
      "Error: ENOENT: no such file or directory, open '/workspace/x'",
    ],
    [
      'npm without a place for its logs',
      'npm error Log files were not written due to an error writing to the directory: /opt/npm-cache/_logs',
    ],
    ['a process that was asked to end', 'Terminated'],
    ['a file of its own that may not be read', 'cat: /tmp/x: Permission denied'],
    ['nothing at all', ''],
  ])('%s', (_what, text) => {
    expect(hintsOf(text, text)).toEqual([]);
  });
});

test('colours and the progress of a line do not hide a message', () => {
  expect(
    hintsOf('\u001b[31mnpm\u001b[0m error \u001b[1mcode\u001b[22m EAI_\u001b[0mAGAIN'),
  ).toEqual(['network.name']);
  expect(hintsOf('10%\r50%\rcurl: (6) Could not resolve host: x\r\n')).toEqual(['network.name']);
});

test('the line that is kept holds nothing that steers a terminal or hides', () => {
  const line = 'sh: \u202e\u001b]0;title\u0007\u009b2Jgit\u200b:\u0000 not found';
  const [hint] = found(line.replace('\u200b:\u0000 not', ': not'));
  expect(hint?.line).toMatch(/^[\x20-\x7e]*$/);
  expect(hint?.line).toContain('git: not found');
});

test('a message is found in what is left of a long output, and memory stays bounded', () => {
  const tail = new OutputTail();
  for (let i = 0; i < 100; i++) tail.see(1, Buffer.alloc(tailBytes, 0x61));
  tail.see(1, Buffer.from('\nsh: git: not found\n'));
  expect(hintsIn(tail).map(({ id }) => id)).toEqual(['image.tool']);
  expect(tail.text(1)).toHaveLength(tailBytes);
});

test('a remark of the daemon is not the output of the task', () => {
  const tail = new OutputTail();
  tail.see(0, Buffer.from('sh: git: not found\n'));
  expect(hintsIn(tail)).toEqual([]);
});

test('the tail is the end of the stream, however it was cut into pieces', () => {
  // Drawing each byte anew would be most of the work: it is where the pieces begin and end that counts.
  const noise = randomBytes(80_000);
  const piece = fc
    .tuple(fc.nat({ max: 40_000 }), fc.nat({ max: 40_000 }))
    .map(([from, length]) => noise.subarray(from, from + length));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8, size: 'max' }), (pieces) => {
      const tail = new OutputTail();
      for (const piece of pieces) tail.see(2, piece);
      const whole = Buffer.concat(pieces);
      const end = whole.subarray(Math.max(0, whole.length - tailBytes));
      expect(tail.text(2)).toBe(new TextDecoder().decode(end));
    }),
    { numRuns: 50 },
  );
});

test('whatever is printed, hints are few, known, short and harmless', () => {
  const words = fc.constantFrom(...said.map(([, text]) => text));
  const noise = fc.oneof(words, fc.string({ unit: 'binary', maxLength: 400 }), fc.constant('\n'));
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 30 }), (parts) => {
      const hints = found(parts.join(''), parts.join('\n'));
      expect(hints.length).toBeLessThanOrEqual(hintsMax);
      expect(new Set(hints.map(({ id }) => id)).size).toBe(hints.length);
      for (const { id, line } of hints) {
        expect(hintById(id)).toBeDefined();
        expect(line.length).toBeLessThanOrEqual(200);
        expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        expect(line.isWellFormed()).toBe(true);
      }
    }),
  );
});

test('a line made to be slow is looked at as fast as any other', () => {
  const nasty = [
    'a'.repeat(tailBytes),
    'EACCES'.repeat(12_000),
    'mount '.repeat(11_000),
    'gyp ERR! '.repeat(7_000),
    'x\r'.repeat(30_000),
    '\u001b]'.repeat(30_000),
    '\n'.repeat(tailBytes),
    'spawn spawn '.repeat(6_000),
  ];
  // A pattern that goes back and forth over such text would take minutes: the test would not end.
  for (const text of nasty) expect(hintsOf(text, text).length).toBeLessThanOrEqual(hintsMax);
});

test('a plain line keeps what can be read', () => {
  expect(plainLine('a\tb é 漢 😀')).toBe('a b é 漢 😀');
});
