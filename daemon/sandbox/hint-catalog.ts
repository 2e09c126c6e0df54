/**
 * The walls that tasks run into, told by what programs print when they do. The first entry that
 * knows a line has it, so the more particular ones come first.
 *
 * A pattern sees one line of at most `lineMax` characters of hostile text: it has bounded gaps only
 * (`.{0,200}`), never a repetition inside a repetition.
 */
export type HintEntry = {
  id: string;
  /** The wall, in the words of `orchestra explain`. */
  rule: string;
  title: string;
  remedy: string;
  patterns: readonly RegExp[];
  /** Entries that say nothing more where this one was found. */
  covers?: readonly string[];
};

const network = 'network.none';
const general = ['network.name', 'network.unreachable'];
const lookup =
  'getaddrinfo|EAI_AGAIN|ENOTFOUND|ENETUNREACH|ECONNREFUSED|[Cc]ould not resolve|request to https?:';

export const hintCatalog: readonly HintEntry[] = [
  {
    id: 'packages.unpinned',
    rule: network,
    title: 'npm asked for a package that the lockfile does not pin',
    remedy:
      'add it to package.json and run npm install on your machine, so that the lockfile pins it: what is pinned is there offline',
    patterns: [/\bENOTCACHED\b/, /cache mode is 'only-if-cached'/],
    covers: general,
  },
  {
    id: 'packages.other',
    rule: network,
    title: 'packages were looked for that Orchestra does not provide',
    remedy:
      'only what an npm lockfile pins is fetched for a task: put the others into the workspace (vendor them), or use an image that has them',
    patterns: [
      /^(?:ERROR: )?(?:No matching distribution found for|Could not find a version that satisfies)/,
      /after connection broken by .{0,200}(?:name resolution|Network is unreachable)/,
      /(?:crates-io|crates\.io|Cargo).{0,200}(?:resolve|offline|unable to update|network)/,
      /failed to (?:download|get|query).{0,200}(?:crate|registry|`)/,
      /module lookup disabled by GOPROXY=off/,
      /\bdial tcp\b.{0,200}(?:no such host|lookup|unreachable)/,
      /^(?:W|E|Err:\d+):? .{0,200}(?:Failed to fetch|Temporary failure resolving)/,
      /^ *Temporary failure resolving '/,
      /E: Unable to locate package/,
      /Could not (?:transfer artifact|GET|resolve all (?:files|dependencies|artifacts))/,
    ],
    covers: general,
  },
  {
    id: 'download.gyp',
    rule: network,
    title: 'node-gyp wanted to download headers of Node to compile a native addon',
    remedy:
      'use a version of the package that ships prebuilt files in the package itself, or an image with the headers and a compiler',
    patterns: [
      new RegExp(`(?:^|\\s)gyp (?:ERR!|http|WARN).{0,200}(?:${lookup}|headers|download|GET )`),
      /(?:^|\s)gyp ERR! (?:find Python|not ok|build error|configure error)/,
    ],
    covers: general,
  },
  {
    id: 'download.browser',
    rule: network,
    title: 'a browser was to be downloaded while packages were installed',
    remedy:
      'switch the download off (PUPPETEER_SKIP_DOWNLOAD=1, PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1, CYPRESS_INSTALL_BINARY=0 in the env of the task) and use an image that has the browser',
    patterns: [
      /Failed to (?:download|install) (?:Chrom|Firefox|WebKit|FFMPEG|browsers)/i,
      /Failed to set up (?:Chrome|Firefox|chrome)/,
      /PUPPETEER_SKIP_(?:CHROMIUM_)?DOWNLOAD/,
      /The Cypress App could not be downloaded/,
      /Executable doesn't exist at .{0,200}ms-playwright/,
      /Could not find (?:Chrome|Chromium|Firefox) \(ver/,
    ],
    covers: general,
  },
  {
    id: 'download.binary',
    rule: network,
    title: 'an install script wanted to download a program',
    remedy:
      'prefer packages whose programs come as packages of their own, which the lockfile pins; or put the program into the workspace or the image',
    patterns: [
      /\bnode-pre-gyp (?:ERR!|WARN|http)/,
      /\bprebuild-install (?:warn|ERR!|WARN|http)/,
      /\bsharp: (?:Installation error|.{0,80}(?:download|getaddrinfo))/,
      /\[sentry-cli\].{0,80}(?:[Uu]nable|failed|error)/i,
      /\[esbuild\] Failed to (?:install|download|find)/,
      new RegExp(`\\b[Pp]risma\\b.{0,200}(?:${lookup}|download)`),
      new RegExp(`(?:${lookup}).{0,200}\\bprisma\\b`),
      /node_modules\/electron\/install\.js/,
      /^Downloading (?:binary|prebuilt|https?:)/i,
    ],
    covers: general,
  },
  {
    id: 'network.git',
    rule: network,
    title: 'git wanted to speak to another machine',
    remedy:
      'put what is needed into the workspace before the run; dependencies from git are not fetched, published versions in the lockfile are',
    patterns: [
      /^(?:npm (?:error|ERR!) )?fatal: unable to access '/,
      /^(?:npm (?:error|ERR!) )?fatal: Could not read from remote repository/,
      /\bssh: Could not resolve hostname/,
    ],
    covers: general,
  },
  {
    id: 'engine.none',
    rule: 'engine.none',
    title: 'a container engine was looked for: there is none in a sandbox',
    remedy:
      'run what needs containers outside of Orchestra, or start the service itself inside the task',
    patterns: [
      /Cannot connect to the Docker daemon/i,
      /\bdocker\.sock\b/,
      /Could not find a (?:working container runtime|valid Docker)/i,
    ],
    covers: [...general, 'network.local'],
  },
  {
    id: 'network.local',
    rule: network,
    title: 'nothing listens on that port: a sandbox has a loopback of its own',
    remedy:
      'services of your machine cannot be reached; start the service inside the same task, before it is needed',
    patterns: [
      /ECONNREFUSED (?:127\.|::1|localhost|\[::1\])/,
      /(?:localhost|127\.0\.0\.1|::1).{0,100}(?:[Cc]onnection refused|Failed to connect)/,
      /(?:[Cc]onnection refused|Failed to connect).{0,100}(?:localhost|127\.0\.0\.1|::1)/,
    ],
  },
  {
    id: 'network.name',
    rule: network,
    title: 'the name of a host was looked up: a sandbox has no network',
    remedy:
      'no policy opens one. Bring what is needed along: packages through the lockfile, other files through the workspace',
    patterns: [
      /\b(?:EAI_AGAIN|ENOTFOUND)\b/,
      /\bquery[A-Za-z0-9]{0,8} ECONNREFUSED\b/,
      /[Cc]ould not resolve host/,
      /\bbad address '/,
      /[Uu]nable to resolve host/,
      /Temporary failure in name resolution/,
      /Name (?:or service not known|does not resolve)/,
      /failed to lookup address information/,
      /: no such host\b/,
    ],
  },
  {
    id: 'network.unreachable',
    rule: network,
    title: 'an address was to be reached: a sandbox has no network',
    remedy:
      'no policy opens one. Bring what is needed along: packages through the lockfile, other files through the workspace',
    patterns: [
      /\b(?:ENETUNREACH|EHOSTUNREACH)\b/,
      /[Nn]etwork is (?:un|not )reachable/,
      /No route to host/,
    ],
  },
  {
    id: 'browser.sandbox',
    rule: 'capabilities.none',
    title: 'a browser wanted to build a sandbox of its own inside the sandbox',
    remedy: 'start it with --no-sandbox: the task is the sandbox',
    patterns: [
      /No usable sandbox!/,
      /Failed to move to new namespace/,
      /Running as root without --no-sandbox/,
      /\bzygote_host_impl_linux\b/,
    ],
    covers: ['capabilities.none'],
  },
  {
    id: 'kernel.readonly',
    rule: 'kernel.readonly',
    title: 'a setting of the kernel was to be changed',
    remedy: 'a task cannot change /proc/sys or /sys: set it on the host, or do without',
    patterns: [/\/(?:proc\/(?:sys|irq|bus)|sys)\/.{0,200}(?:[Rr]ead-only file system|EROFS)/],
  },
  {
    id: 'root.readonly',
    rule: 'root.readonly',
    title: 'something outside the workspace was to be written: the root is read-only',
    remedy:
      'write beneath /workspace, or to $TMPDIR for what need not be kept; instead of npm install -g put the tool into devDependencies and use npx',
    patterns: [/\bEROFS\b/, /[Rr]ead-only file system/],
  },
  {
    id: 'tmp.noexec',
    rule: 'mounts.noexec',
    title: 'a program was to be started from /tmp or the home directory',
    remedy: 'nothing there can be executed: put programs beneath /workspace',
    patterns: [
      /^(?:\S{0,40}sh|env|exec)(?:: (?:line )?\d{1,6})?: \/(?:tmp|home\/node)\/[^\s:]{1,200}: Permission denied$/,
      /\bspawn \/(?:tmp|home\/node)\/.{0,200}EACCES/,
      /failed to map segment from shared object/,
    ],
    covers: ['user.ordinary'],
  },
  {
    id: 'capabilities.none',
    rule: 'capabilities.none',
    title: 'a task has no privileges of root and cannot get any',
    remedy:
      'no policy gives them: do it without mounts, owners, devices, namespaces, raw sockets or other identities',
    patterns: [
      /\b(?:mount|umount|unshare|nsenter|bwrap|chroot|mknod|chown|chgrp|iptables|nft|ping|su|sudo|dmesg|klogctl|insmod|modprobe|swapon|setpriv|strace|ptrace|setuid|setgid|seteuid|setegid|setgroups|pivot_root|setns)\b.{0,200}(?:[Oo]peration not permitted|[Pp]ermission denied|\bEPERM\b|must be suid|effective uid is not 0)/,
      /\bEPERM\b.{0,200}\b(?:chown|lchown|fchown|mknod|setuid|setgid|mount|ptrace)\b/,
    ],
  },
  {
    id: 'user.ordinary',
    rule: 'user.ordinary',
    title: 'a file of the system was to be read or written: a task is an ordinary user',
    remedy: 'work beneath /workspace, and with $TMPDIR for what need not be kept',
    patterns: [
      /(?:EACCES|[Pp]ermission denied).{0,200}(?:^|[\s'"])\/(?:root|etc|usr|var|opt|lib|bin|sbin|run|home|srv)\b/,
      /(?:^|[\s'"‘])\/(?:root|etc|usr|var|opt|lib|bin|sbin|run|home|srv)\/[^\s]{0,200}: Permission denied/,
    ],
  },
  {
    id: 'seccomp.killed',
    rule: 'seccomp',
    title: 'the filter of system calls killed a process',
    remedy:
      'it made a call that no build needs; find out which program did, and whether it can do without',
    patterns: [/\bBad system call\b/, /\bSIGSYS\b/],
  },
  {
    id: 'seccomp.refused',
    rule: 'seccomp',
    title: 'the filter of system calls refused a call',
    remedy: 'programs that probe for it go on without; switch the feature off where one does not',
    patterns: [
      /\b(?:io_uring|userfaultfd|perf_event_open|keyctl|bpf)\w{0,24}\b.{0,120}(?:not permitted|EPERM|ENOSYS|not implemented)/i,
    ],
  },
  {
    id: 'watchers.few',
    rule: 'kernel.shared',
    title: 'the kernel has no more file watchers for this user',
    remedy: 'do not watch in a task; or let the tool poll (CHOKIDAR_USEPOLLING=1)',
    patterns: [/ENOSPC: System limit for number of file watchers/],
    covers: ['limits.tmp'],
  },
  {
    id: 'limits.tmp',
    rule: 'limits.tmp',
    title: '/tmp or the home directory is full: both are in memory',
    remedy:
      'write large files beneath /workspace, or ask for more `tmp` in the limits of the task, up to what the policy allows',
    patterns: [/\bENOSPC\b/, /No space left on device/i],
  },
  {
    id: 'limits.memory',
    rule: 'limits.memory',
    title: 'memory ran out in a process',
    remedy:
      'ask for more `memory` in the limits of the task, up to what the policy allows; Node itself takes half of it at most (--max-old-space-size as an argument of node)',
    patterns: [
      /JavaScript heap out of memory/,
      /\bENOMEM\b/,
      /[Cc]annot allocate memory/,
      /\bstd::bad_alloc\b/,
      /^(?:.{0,80}: )?(?:.{0,20}\b)?Killed$/,
      /\bsignal:? '?SIGKILL\b/,
      /\bMemoryError\b/,
    ],
  },
  {
    id: 'limits.open_files',
    rule: 'limits.open_files',
    title: 'too many files were open at once',
    remedy: 'open fewer, or ask for more `open_files` in the limits of the task',
    patterns: [/\b(?:EMFILE|ENFILE)\b/, /Too many open files/i],
  },
  {
    id: 'limits.pids',
    rule: 'limits.pids',
    title: 'too many processes or threads',
    remedy:
      'lower the parallelism of the tool (--maxWorkers, -j), or ask for more `pids` in the limits of the task',
    patterns: [
      /\bspawn .{1,200} EAGAIN\b/,
      /\bfork\b.{0,80}(?:Resource temporarily unavailable|Try again|EAGAIN)/,
      /pthread_create.{0,80}(?:failed|unavailable|EAGAIN)/i,
      /\bERR_WORKER_INIT_FAILED\b/,
      /Resource temporarily unavailable.{0,80}(?:thread|process|fork)/,
    ],
  },
  {
    id: 'limits.file_size',
    rule: 'limits.file_size',
    title: 'a single file grew too large',
    remedy: 'write several smaller ones, or ask for more `file_size` in the limits of the task',
    patterns: [/\bEFBIG\b/, /File (?:size limit exceeded|too large)/],
  },
  {
    id: 'secrets.absent',
    rule: 'secrets',
    title: 'a secret was looked for that this task was not given',
    remedy:
      'name it under `secrets` of the task, and let the policy grant it to this task; see orchestra secret ls',
    patterns: [
      /\/run\/secrets\/.{0,200}(?:[Nn]o such file|ENOENT)/,
      /(?:[Nn]o such file|ENOENT).{0,200}\/run\/secrets\//,
    ],
  },
  {
    id: 'devices.none',
    rule: 'devices.none',
    title: 'a device of the machine was looked for: a sandbox has none',
    remedy: 'no policy gives one: do without KVM, FUSE, GPUs, disks and the like',
    patterns: [
      /\/dev\/(?:k?mem|kvm|fuse|net\/tun|loop|[sv]d[a-z]|nvme|dri|nvidia|snd|ttyS|uinput|vhost)\w{0,20}.{0,120}(?:[Nn]o such (?:file|device)|ENOENT|EPERM|EACCES|not permitted|[Pp]ermission denied|can't open)/,
      /can't open '?\/dev\/(?:k?mem|kvm|fuse|net\/tun|loop|[sv]d[a-z]|nvme)/,
    ],
  },
  {
    id: 'image.tool',
    rule: 'image',
    title: 'a program was started that is not in the image',
    remedy:
      'nothing can be installed into the system of a sandbox: use a program that an npm package brings (npx), or another image of the policy',
    patterns: [
      /: [\w.+-]{1,64}: (?:command )?not found$/,
      /^(?:\S{0,40}sh(?:: (?:line )?\d{1,6})?|env|exec): (?:‘|')?[\w.+-]{1,64}(?:’|')?: (?:command )?(?:not found|No such file or directory)$/,
      /\bspawn (?:git|python3?|make|cc|g\+\+|gcc|docker|curl|wget|java) ENOENT\b/,
    ],
  },
];
