/**
 * The words that every script in a sandbox has. A script says `tries({ name: () => … })`: a
 * function that throws was refused, one that returns got through. `look` is for what should not be
 * there. Answers go to stdout behind a token of this selftest, so that nothing else is taken for
 * them. Plain Node 20 without any package: the image has to bring nothing else.
 */
export function preludeFor(facts: Readonly<Record<string, unknown>>): string {
  return `const facts = ${JSON.stringify(facts)};\n${words}\n${kernel}\n`;
}

const words = String.raw`
const fs = require('fs'), cp = require('child_process'), os = require('os'), net = require('net');
const dgram = require('dgram'), dns = require('dns'), path = require('path');
const errnoNames = new Map(Object.entries(os.constants.errno).map(([name, number]) => [number, name]));

function tell(answers) {
  const line = '\n@@' + facts.token + ' ' + JSON.stringify(answers) + '\n';
  for (let at = 0; at < line.length; at += 4096) fs.writeSync(1, line.slice(at, at + 4096));
}
function began() { tell({ began: { through: false, text: 'NOTHING: began' } }); }

function refused(code, why) { throw Object.assign(new Error(why || code), { code }); }
function nothing(why) { refused('NOTHING', why); }

async function tries(all, limitMs = 20000) {
  const answers = {};
  for (const [name, attempt] of Object.entries(all)) {
    try {
      const late = new Promise((_, reject) => setTimeout(() => reject(Object.assign(new Error('no answer'), { code: 'TIMEOUT' })), limitMs).unref());
      const got = await Promise.race([attempt(), late]);
      answers[name] = { through: true, text: String(got === undefined ? 'done' : got).slice(0, 300) };
    } catch (error) {
      const code = error.code === undefined ? 'BROKEN' : String(error.code);
      const why = code === 'NOTHING' || code === 'BROKEN' ? ': ' + String(error.message).slice(0, 200) : '';
      answers[name] = { through: false, text: code + why };
    }
  }
  tell(answers);
  return answers;
}

/** The items that satisfy the test are what should not be there. */
function look(what, items, isBad) {
  const bad = items.filter(isBad);
  if (bad.length > 0) return what + ': ' + bad.slice(0, 5).join(' ');
  nothing('none among ' + items.length + ' ' + what);
}
const list = (at) => { try { return fs.readdirSync(at); } catch { return []; } };
const read = (at) => { try { return fs.readFileSync(at, 'latin1'); } catch { return ''; } };
const link = (at) => { try { return fs.readlinkSync(at); } catch { return ''; } };
const pids = () => list('/proc').filter((name) => /^\d+$/.test(name));

/** Overwrites one byte of a file with itself: opening for writing is what counts. */
function writes(at, text) { const fd = fs.openSync(at, 'w'); try { fs.writeSync(fd, text); } finally { fs.closeSync(fd); } }
function opens(at, flags = 'r') { fs.closeSync(fs.openSync(at, flags)); }

/** Runs a program; its way to say no is an exit code, so the words decide. */
function program(command, ...args) {
  const ran = cp.spawnSync(command, args, { encoding: 'utf8', timeout: 8000 });
  if (ran.error) throw ran.error;
  if (ran.status === 0) return ran.stdout.trim() || 'done';
  if (ran.signal) refused(ran.signal);
  const said = ran.stderr + ran.stdout;
  const known = [
    ['EPERM', /not permitted|must be (?:super)?root|are you root|permission denied \(are/i],
    ['EACCES', /permission denied/i], ['EROFS', /read-only/i], ['ENOENT', /no such|not found|can't open/i],
    ['ENETUNREACH', /unreachable/i], ['ENOSYS', /not implemented/i], ['ENODEV', /no such device/i],
    ['EAI_AGAIN', /bad address|temporary failure|can't resolve/i],
  ].find(([, pattern]) => pattern.test(said));
  refused(known ? known[0] : 'EXIT' + ran.status, said);
}

const dial = (to) => new Promise((resolve, reject) => {
  const socket = net.connect(to);
  socket.setTimeout(3000, () => { socket.destroy(); reject(Object.assign(new Error(), { code: 'TIMEOUT' })); });
  socket.on('connect', () => { socket.destroy(); resolve('connected'); });
  socket.on('error', reject);
});
const send = (host, port, family = 'udp4') => new Promise((resolve, reject) => {
  const socket = dgram.createSocket(family);
  socket.on('error', reject);
  socket.send('orchestra selftest', port, host, (error) => { socket.close(); error ? reject(error) : resolve('sent'); });
});
const lookup = (name) => new Promise((resolve, reject) => dns.lookup(name, (error, at) => error ? reject(error) : resolve(at)));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
`;

/**
 * Asks the kernel itself, without a compiler: a program of some 200 bytes is written out, makes
 * one call and exits with its error. Two calls whose answers are known show first that it works.
 */
const kernel = String.raw`
const calls = {
  // name: [x64, arm64]
  getpid: [39, 172], close: [3, 57], mount: [165, 40], umount2: [166, 39], pivot_root: [155, 41],
  chroot: [161, 51], unshare: [272, 97], setns: [308, 268], clone: [56, 220], ptrace: [101, 117],
  kill: [62, 129], socket: [41, 198], bpf: [321, 280], init_module: [175, 105],
  delete_module: [176, 106], kexec_load: [246, 104], open_by_handle_at: [304, 265],
  perf_event_open: [298, 241], keyctl: [250, 219], add_key: [248, 217], request_key: [249, 218],
  setuid: [105, 146], setgid: [106, 144], setgroups: [116, 159], settimeofday: [164, 170],
  sethostname: [170, 161], reboot: [169, 142], userfaultfd: [323, 282], io_uring_setup: [425, 425],
  fsopen: [430, 430], open_tree: [428, 428], move_mount: [429, 429], mount_setattr: [442, 442],
  process_vm_readv: [310, 270], kcmp: [312, 272], personality: [135, 92], swapon: [167, 224],
  acct: [163, 89], syslog: [103, 116], iopl: [172, -1], ioperm: [173, -1], prlimit64: [302, 261],
  setpriority: [141, 140], sched_setscheduler: [144, 119], setxattr: [188, 5], fanotify_init: [300, 262],
  mknodat: [259, 33], capset: [126, 91], seccomp: [317, 277],
};
const arch = process.arch;
const base = 0x400000;
const place = 0x400;

function sys(name, ...args) {
  if (!checked) { checked = true; control(); }
  const number = calls[name][arch === 'arm64' ? 1 : 0];
  if (number < 0) refused('ENOSYS', 'not on this processor');
  return probe(args, (words) => call64(number, words));
}
/** The same over the 32-bit door and over the x32 one, which some filters forget. */
function sys32(number, ...args) { return probe(args, (words) => call32(number, words)); }
function sysx32(number, ...args) { return probe(args, (words) => call64(0x40000000 + number, words)); }

let checked = false;
function control() {
  if (arch !== 'x64' && arch !== 'arm64') throw new Error('no probe for ' + arch);
  try { sys('getpid'); } catch (error) { throw new Error('the probe does not run: ' + error.code); }
  let code; try { sys('close', -1); } catch (error) { code = error.code; }
  if (code !== 'EBADF') throw new Error('the probe cannot be trusted: ' + code);
}

function probe(args, assemble, stdio = 'ignore') {
  const data = [];
  let at = place;
  let handed = 'ignore';
  const words = args.map((arg) => {
    if (typeof arg === 'number') return BigInt.asUintN(64, BigInt(arg));
    if (arg && arg.fd !== undefined) { handed = [arg.fd, 'ignore', 'ignore']; return 0n; }
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(arg + '\0');
    data.push(bytes);
    const here = BigInt(base + at);
    at += bytes.length;
    return here;
  });
  const code = Buffer.concat([assemble(words), ending()]);
  const file = Buffer.alloc(place);
  header(place + Buffer.concat(data).length).copy(file);
  code.copy(file, 120);
  const own = path.join(process.cwd(), 'probe-' + Math.random().toString(36).slice(2));
  fs.writeFileSync(own, Buffer.concat([file, ...data]), { mode: 0o755 });
  try {
    const ran = cp.spawnSync(own, [], { stdio: handed, timeout: 5000 });
    if (ran.error) throw new Error('the probe does not start: ' + ran.error.code);
    if (ran.signal) refused(ran.signal);
    if (ran.status !== 0) refused(errnoNames.get(ran.status) || 'E' + ran.status);
  } finally { fs.unlinkSync(own); }
}

function header(size) {
  const elf = Buffer.alloc(120);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(elf);
  elf.writeUInt16LE(2, 16); elf.writeUInt16LE(arch === 'arm64' ? 183 : 62, 18); elf.writeUInt32LE(1, 20);
  elf.writeBigUInt64LE(BigInt(base + 120), 24); elf.writeBigUInt64LE(64n, 32);
  elf.writeUInt16LE(64, 52); elf.writeUInt16LE(56, 54); elf.writeUInt16LE(1, 56);
  elf.writeUInt32LE(1, 64); elf.writeUInt32LE(7, 68);
  elf.writeBigUInt64LE(BigInt(base), 80); elf.writeBigUInt64LE(BigInt(base), 88);
  elf.writeBigUInt64LE(BigInt(size), 96); elf.writeBigUInt64LE(BigInt(size + 4096), 104);
  elf.writeBigUInt64LE(0x10000n, 112);
  return elf;
}
const little = (value) => { const out = Buffer.alloc(8); out.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value))); return out; };
const loadX64 = (opcode, value) => Buffer.concat([Buffer.from(opcode), little(value)]);
function loadArm(register, value) {
  const out = Buffer.alloc(16);
  for (let part = 0; part < 4; part += 1) {
    const piece = Number((BigInt.asUintN(64, BigInt(value)) >> BigInt(16 * part)) & 0xffffn);
    out.writeUInt32LE(((part === 0 ? 0xd2800000 : 0xf2800000) | (part << 21) | (piece << 5) | register) >>> 0, part * 4);
  }
  return out;
}
const armWords = (...words) => { const out = Buffer.alloc(words.length * 4); words.forEach((word, i) => out.writeUInt32LE(word >>> 0, i * 4)); return out; };

function call64(number, words) {
  if (arch === 'arm64') {
    return Buffer.concat([loadArm(8, number), ...Array.from({ length: 6 }, (_, i) => loadArm(i, words[i] ?? 0n)), armWords(0xd4000001)]);
  }
  const registers = [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8], [0x49, 0xb9]];
  return Buffer.concat([loadX64([0x48, 0xb8], number), ...registers.map((to, i) => loadX64(to, words[i] ?? 0n)), Buffer.from([0x0f, 0x05])]);
}
function call32(number, words) {
  const registers = [[0x48, 0xbb], [0x48, 0xb9], [0x48, 0xba], [0x48, 0xbe], [0x48, 0xbf]];
  return Buffer.concat([loadX64([0x48, 0xb8], number), ...registers.map((to, i) => loadX64(to, words[i] ?? 0n)), Buffer.from([0xcd, 0x80, 0x48, 0x63, 0xc0])]);
}
// Exits with the error as a positive number, with 0 after a success.
function ending() {
  if (arch === 'arm64') return Buffer.concat([armWords(0xf100001f, 0x5400004b, 0xd2800000, 0xcb0003e0), loadArm(8, 93), armWords(0xd4000001)]);
  return Buffer.from([0x48, 0x85, 0xc0, 0x78, 0x02, 0x31, 0xc0, 0x48, 0xf7, 0xd8, 0x48, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
}
`;
