import type { TaskAttack } from '../attack.ts';

const refusedByKernel = 'Every call is refused by the kernel or the filter in front of it.';

/** Calls that lead out of a sandbox, made directly, past every program and library. */
export const kernelAttacks: readonly TaskAttack[] = [
  {
    id: 'escape.mount',
    hostKernel: true,
    title: 'Mount a file system',
    attack: 'Mounts tmpfs, proc and the root as writable, and takes masks off /proc.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        'mount tmpfs': () => sys('mount', 'tmpfs', '/tmp', 'tmpfs', 0, ''),
        'mount proc': () => sys('mount', 'proc', '/tmp', 'proc', 0, ''),
        'bind the root': () => sys('mount', '/', '/tmp', '', 4096, 0),
        'make the root writable': () => sys('mount', 'none', '/', '', 32 | 4096, ''),
        'unmask kcore': () => sys('umount2', '/proc/kcore', 2),
        'unmount the workspace': () => sys('umount2', '/workspace', 2),
      });`,
  },
  {
    id: 'escape.mount-new-api',
    hostKernel: true,
    title: 'Mount by the newer calls',
    attack: 'fsopen, open_tree, move_mount and mount_setattr, which older filters do not know.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        fsopen: () => sys('fsopen', 'tmpfs', 0),
        'open_tree as a copy': () => sys('open_tree', -100, '/', 1),
        move_mount: () => sys('move_mount', -100, '/proc', -100, '/tmp', 0),
        mount_setattr: () => sys('mount_setattr', -100, '/', 0, Buffer.alloc(32), 32),
      });`,
  },
  {
    id: 'escape.change-root',
    hostKernel: true,
    title: 'Change the root',
    attack: 'chroot and pivot_root, the first step of many escapes.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        chroot: () => sys('chroot', '/tmp'),
        pivot_root: () => sys('pivot_root', '/tmp', '/tmp'),
      });`,
  },
  {
    id: 'escape.user-namespace',
    hostKernel: true,
    title: 'Become root in a user namespace',
    attack: 'unshare and clone with CLONE_NEWUSER, the door to most kernel exploits.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        'unshare user': () => sys('unshare', 0x10000000),
        'unshare user and mount': () => sys('unshare', 0x10020000),
        'clone user': () => sys('clone', 0x10000000 | 17, 0),
        'unshare -Ur': () => program('/bin/busybox', 'unshare', '-U', '-r', 'id'),
      });`,
  },
  {
    id: 'escape.namespaces',
    hostKernel: true,
    title: 'Make any other namespace',
    attack: 'unshare of mount, network, process, IPC, host name and cgroup namespaces.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        mount: () => sys('unshare', 0x00020000),
        network: () => sys('unshare', 0x40000000),
        process: () => sys('unshare', 0x20000000),
        ipc: () => sys('unshare', 0x08000000),
        'host name': () => sys('unshare', 0x04000000),
        cgroup: () => sys('unshare', 0x02000000),
      });`,
  },
  {
    id: 'escape.enter-namespace',
    hostKernel: true,
    title: 'Enter a namespace of another process',
    attack: 'setns with the namespaces of process 1 and of this process itself.',
    expects: refusedByKernel,
    script: String.raw`
      const enter = (at, type) => () => {
        const fd = fs.openSync(at);
        try { return probe([{ fd }, type], (words) => call64(calls.setns[arch === 'arm64' ? 1 : 0], words)); } finally { fs.closeSync(fd); }
      };
      control();
      await tries({
        'mount of process 1': enter('/proc/1/ns/mnt', 0),
        'network of process 1': enter('/proc/1/ns/net', 0),
        'own user': enter('/proc/self/ns/user', 0x10000000),
        'own process': enter('/proc/self/ns/pid', 0),
        nsenter: () => program('/bin/busybox', 'nsenter', '-t', '1', '-m', 'true'),
      });`,
  },
  {
    id: 'escape.trace',
    hostKernel: true,
    title: 'Trace and read other processes',
    attack: 'ptrace, process_vm_readv and kcmp, also on a process of the host by its number.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        'be traced': () => sys('ptrace', 0, 0, 0, 0),
        'seize process 1': () => sys('ptrace', 0x4206, 1, 0, 0),
        'attach to the host': () => sys('ptrace', 16, facts.hostPid, 0, 0),
        'read memory': () => sys('process_vm_readv', 1, 0, 0, 0, 0, 0),
        kcmp: () => sys('kcmp', 1, 1, 0, 0, 0),
      });`,
  },
  {
    id: 'escape.signal-host',
    title: 'Signal a process of the host',
    attack: 'kill with the number of a process that runs outside.',
    expects: 'There is no such process.',
    script: String.raw`
      await tries({ 'signal 0': () => sys('kill', facts.hostPid, 0), 'signal by Node': () => process.kill(facts.hostPid, 0) });`,
  },
  {
    id: 'escape.bpf',
    hostKernel: true,
    title: 'Load a program into the kernel',
    attack: 'bpf: make a map, load a program.',
    expects: refusedByKernel,
    script: String.raw`
      const map = Buffer.alloc(128); map.writeUInt32LE(2, 0); map.writeUInt32LE(4, 4); map.writeUInt32LE(4, 8); map.writeUInt32LE(1, 12);
      await tries({ 'make a map': () => sys('bpf', 0, map, 128), 'load a program': () => sys('bpf', 5, Buffer.alloc(128), 128) });`,
  },
  {
    id: 'escape.perf',
    hostKernel: true,
    title: 'Watch the processor',
    attack: 'perf_event_open on this process, a door of many kernel exploits.',
    expects: refusedByKernel,
    script: String.raw`
      const event = Buffer.alloc(112); event.writeUInt32LE(1, 0); event.writeUInt32LE(112, 4); event.writeUInt32LE(0x60, 40);
      await tries({ perf_event_open: () => sys('perf_event_open', event, 0, -1, -1, 0) });`,
  },
  {
    id: 'escape.keys',
    hostKernel: true,
    title: 'Reach the keys of the kernel',
    attack: 'keyctl, add_key and request_key: keyrings know no containers.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        'read the session': () => sys('keyctl', 0, -3, 1, 0, 0),
        'add a key': () => sys('add_key', 'user', 'orchestra', 'x', 1, -3),
        'ask for a key': () => sys('request_key', 'user', 'orchestra', 0, -3),
      });`,
  },
  {
    id: 'escape.io-uring',
    hostKernel: true,
    title: 'Open an io_uring',
    attack: 'io_uring_setup: its operations pass by every filter of system calls.',
    expects: refusedByKernel,
    script: `await tries({ io_uring_setup: () => sys('io_uring_setup', 1, Buffer.alloc(120)) });`,
  },
  {
    id: 'escape.userfaultfd',
    hostKernel: true,
    title: 'Hold up the kernel at a page',
    attack: 'userfaultfd, also in the form for user memory only.',
    expects: refusedByKernel,
    script: `await tries({ userfaultfd: () => sys('userfaultfd', 0), 'for user memory': () => sys('userfaultfd', 1) });`,
  },
  {
    id: 'escape.modules',
    hostKernel: true,
    title: 'Load a module or another kernel',
    attack: 'init_module, delete_module and kexec_load, and the programs for them.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        init_module: () => sys('init_module', Buffer.alloc(256), 256, ''),
        delete_module: () => sys('delete_module', 'orchestra_none', 0),
        kexec_load: () => sys('kexec_load', 0, 0, 0, 0xffff),
        modprobe: () => program('/bin/busybox', 'modprobe', 'dummy'),
      });`,
  },
  {
    id: 'escape.file-handle',
    hostKernel: true,
    title: 'Open a file of the host by its handle',
    attack: 'open_by_handle_at with a guessed inode number (known as Shocker), and fanotify.',
    expects: refusedByKernel,
    script: String.raw`
      const handle = Buffer.alloc(64); handle.writeUInt32LE(8, 0); handle.writeInt32LE(1, 4); handle.writeUInt32LE(2, 8);
      await tries({
        open_by_handle_at: () => sys('open_by_handle_at', -100, handle, 0),
        'fanotify over all': () => sys('fanotify_init', 4, 0),
      });`,
  },
  {
    id: 'escape.machine',
    hostKernel: true,
    title: 'Change the machine',
    attack: 'Clock, host name, restart, swap and process accounting.',
    expects: refusedByKernel,
    script: String.raw`
      await tries({
        clock: () => sys('settimeofday', 0, 0),
        'host name': () => sys('sethostname', 'orchestra', 9),
        restart: () => sys('reboot', 0xfee1dead, 672274793, 0, 0),
        swap: () => sys('swapon', '/nonexistent/swap', 0),
        accounting: () => sys('acct', '/nonexistent/acct'),
      });`,
  },
  {
    id: 'escape.ports',
    hostKernel: true,
    title: 'Reach the hardware',
    attack: 'iopl and ioperm, /dev/mem, /dev/port and /dev/kvm.',
    expects: 'Every call is refused and no such device is there.',
    script: String.raw`
      const devices = ['/dev/mem', '/dev/kmem', '/dev/port', '/dev/kvm', '/dev/fuse', '/dev/net/tun', '/dev/vhost-net', '/dev/loop-control', '/dev/mapper/control'];
      await tries({
        iopl: () => sys('iopl', 3),
        ioperm: () => sys('ioperm', 0x80, 1, 1),
        ...Object.fromEntries(devices.map((at) => [at, () => opens(at)])),
      });`,
  },
  {
    id: 'escape.personality',
    hostKernel: true,
    title: 'Switch off the randomising of addresses',
    attack: 'personality with ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC.',
    expects: refusedByKernel,
    script: `await tries({ 'no randomising': () => sys('personality', 0x0040000), 'read implies execute': () => sys('personality', 0x0400000) });`,
  },
  {
    id: 'escape.other-doors',
    hostKernel: true,
    title: 'The same calls by the 32-bit doors',
    attack: 'mount, unshare, ptrace and keyctl by int 0x80 and by the x32 numbers.',
    expects: 'The filter covers every door: refused, killed, or no such door.',
    script: String.raw`
      if (arch !== 'x64') { tell({ 'no such doors': { through: false, text: 'ENOSYS: ' + arch } }); return; }
      control();
      await tries({
        'mount by int 0x80': () => sys32(21, 'tmpfs', '/tmp', 'tmpfs', 0, 0),
        'unshare by int 0x80': () => sys32(310, 0x10000000),
        'keyctl by int 0x80': () => sys32(288, 0, -3, 1, 0, 0),
        'bpf by int 0x80': () => sys32(357, 5, Buffer.alloc(128), 128),
        'mount by x32': () => sysx32(165, 'tmpfs', '/tmp', 'tmpfs', 0, 0),
        'unshare by x32': () => sysx32(272, 0x10000000),
      });`,
  },
  {
    id: 'escape.identity',
    hostKernel: true,
    title: 'Become root',
    attack: 'setuid, setgid, setgroups and capset to everything, and a set-id copy of a program.',
    expects: 'Every call is refused, and the set-id bit gives nothing.',
    script: String.raw`
      const head = Buffer.alloc(8); head.writeUInt32LE(0x20080522, 0);
      const setId = () => {
        const own = path.join(process.cwd(), 'busybox');
        fs.copyFileSync('/bin/busybox', own); fs.chmodSync(own, 0o6777);
        const id = program(own, 'id', '-u');
        if (id === String(process.getuid()) && id !== '0') nothing('still user ' + id);
        return 'user ' + id;
      };
      await tries({
        'be root': () => { if (process.getuid() === 0 || process.getgid() === 0 || process.getgroups().includes(0)) return 'it is already'; nothing('user ' + process.getuid()); },
        setuid: () => sys('setuid', 0),
        setgid: () => sys('setgid', 0),
        setgroups: () => sys('setgroups', 1, Buffer.alloc(4)),
        capset: () => sys('capset', head, Buffer.alloc(24, 0xff)),
        'a set-id program': setId,
      });`,
  },
];
