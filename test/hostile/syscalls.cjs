// Runs inside a sandbox: asks the kernel itself for what a task must never get, each call in a
// process of its own, and prints how each ended: the name of an error, the signal that killed the
// process, or "done". Numbers are those of x86-64.
const { spawnSync } = require('node:child_process');
const os = require('node:os');

const [outsider = '1', only] = process.argv.slice(2);
if (only === undefined) {
  const answers = Object.keys(attempts(0)).map((what) => {
    const ran = spawnSync(process.execPath, [__filename, outsider, what], { encoding: 'utf8' });
    return [what, ran.signal ?? (ran.stdout || ran.stderr).trim().slice(0, 200)];
  });
  console.log(JSON.stringify(Object.fromEntries(answers)));
} else {
  const koffi = require('koffi');
  const attempt = attempts(Number(outsider), koffi.load(null))[only];
  const names = new Map(Object.entries(os.constants.errno).map(([name, number]) => [number, name]));
  koffi.errno(0);
  const result = Number(attempt());
  console.log(result >= 0 ? 'done' : (names.get(koffi.errno()) ?? String(koffi.errno())));
}

function attempts(host, libc) {
  // A number and five arguments, of which the first are of these types and the others numbers.
  const call = (first) => {
    const more = ', long'.repeat(5 - first.split(',').length);
    return libc?.func(`long syscall(long, ${first}${more})`);
  };
  const words = call('long');
  const text = call('str');
  const texts = call('str, str, str, long, str');
  const bytes = call('long, void *');
  const buffer = call('void *, long, str');
  const named = call('long, str');
  const handle = Buffer.alloc(256);
  const pair = Buffer.alloc(8);
  const user = 0x10000000;
  const child = 17; // SIGCHLD
  return {
    'mount a tmpfs': () => texts(165, 'tmpfs', '/tmp', 'tmpfs', 0, ''),
    'mount proc': () => texts(165, 'proc', '/tmp', 'proc', 0, ''),
    'make the root writable': () => texts(165, 'none', '/', '', 32 | 4096, ''),
    'unmount a mask': () => text(166, '/proc/kcore', 2, 0, 0, 0),
    'open a new mount': () => text(430, 'tmpfs', 0, 0, 0, 0),
    'set up a new mount': () => words(431, 0, 6, 0, 0, 0),
    'make a new mount': () => words(432, 0, 0, 0, 0, 0),
    'open a mount for change': () => named(433, -100, '/', 0, 0, 0),
    'copy a mount': () => named(428, -100, '/', 1, 0, 0),
    'move a mount': () => named(429, -100, '/', 0, 0, 0),
    'change the flags of a mount': () => named(442, -100, '/', 0, 0, 0),
    'pivot the root': () => texts(155, '/tmp', '/tmp', '', 0, ''),
    'enter a namespace': () => words(308, 0, 0, 0, 0, 0),
    'load a program into the kernel': () => bytes(321, 5, handle, 48, 0, 0),
    'load a module': () => buffer(175, handle, 256, '', 0, 0),
    'load a module from a file': () => named(313, 0, '', 0, 0, 0),
    'remove a module': () => text(176, 'x', 0, 0, 0, 0),
    'load another kernel': () => words(246, 0, 0, 0, 0, 0),
    'load another kernel from a file': () => words(320, 0, 0, 0, 0, 0),
    'open a file by its handle': () => bytes(304, 3, handle, 0, 0, 0),
    'swap to a file': () => text(167, '/tmp/x', 0, 0, 0, 0),
    'restart the machine': () => words(169, 0xfee1dead, 672274793, 0, 0, 0),
    'get at the ports': () => words(172, 3, 0, 0, 0, 0),

    'change the root': () => text(161, '/tmp', 0, 0, 0, 0),
    'make a user namespace': () => words(272, user, 0, 0, 0, 0),
    'make a mount namespace': () => words(272, 0x00020000, 0, 0, 0, 0),
    'make a network namespace': () => words(272, 0x40000000, 0, 0, 0, 0),
    'make a process in a user namespace': () => words(56, user | child, 0, 0, 0, 0),
    'make a process in a namespace by the newer call': () => bytes(435, 0, handle, 88, 0, 0),
    'trace a process of the host': () => words(101, 16, host, 0, 0, 0),
    'be traced': () => words(101, 0, 0, 0, 0, 0),
    'read the memory of a process': () => words(310, process.pid, 0, 0, 0, 0),
    'write the memory of a process': () => words(311, process.pid, 0, 0, 0, 0),
    'compare processes': () => words(312, process.pid, process.pid, 0, 0, 0),
    'take a file from a process': () => words(438, 0, 0, 0, 0, 0),
    'signal a process of the host': () => words(62, host, 0, 0, 0, 0),
    'open a packet socket': () => words(41, 17, 3, 0x0300, 0, 0),
    'open a raw socket': () => words(41, 2, 3, 1, 0, 0),
    'open a socket to the hypervisor': () => words(41, 40, 1, 0, 0, 0),
    'open a socket to the kernel’s ciphers': () => words(41, 38, 5, 0, 0, 0),
    'open a bluetooth socket': () => words(41, 31, 3, 1, 0, 0),
    'listen to the audit of the kernel': () => words(41, 16, 3, 9, 0, 0),
    'listen to its devices': () => words(41, 16, 3, 15, 0, 0),
    'speak a protocol that is rarely used': () => words(41, 2, 1, 132, 0, 0),
    'make a pair of rare sockets': () => bytes(53, 30, pair, 1, 0, 0),
    'watch the processor': () => buffer(298, handle, -1, '', -1, 0),
    'submit work by rings': () => bytes(425, 8, handle, 0, 0, 0),
    'submit work to disks': () => bytes(206, 8, handle, 0, 0, 0),
    'read the keys of the session': () => words(250, 0, -3, 0, 0, 0),
    'add a key': () => texts(248, 'user', 'x', 'y', 1, ''),
    'hide memory': () => words(447, 0, 0, 0, 0, 0),
    'handle page faults of the kernel': () => words(323, 0, 0, 0, 0, 0),
    'watch all files': () => words(300, 0, 0, 0, 0, 0),
    'ask for a handle of a file': () => named(303, -100, '/etc/passwd', 0, 0, 0),
    'become root': () => words(105, 0, 0, 0, 0, 0),
    'become the group of root': () => words(106, 0, 0, 0, 0, 0),
    'make a disk': () => text(133, '/tmp/disk', 0o60600, 8 << 8, 0, 0),
    'make a whiteout': () => text(133, '/tmp/hole', 0o20600, 0, 0, 0),
    'set the clock': () => words(227, 0, 0, 0, 0, 0),
    'set the time of day': () => words(164, 0, 0, 0, 0, 0),
    'set the name of the host': () => text(170, 'mine', 4, 0, 0, 0),
    'read the kernel’s messages': () => bytes(103, 3, handle, 256, 0, 0),
    'switch accounting on': () => text(163, '/tmp/x', 0, 0, 0, 0),
    'type into a terminal': () => words(16, 0, 0x5412, 0, 0, 0),
    'type into a terminal, in a number too large': () => words(16, 0, 0x1_0000_5412, 0, 0, 0),
    'paste into a terminal': () => words(16, 0, 0x541c, 0, 0, 0),
    'have addresses that are not random': () => words(135, 0x40000, 0, 0, 0, 0),
  };
}
