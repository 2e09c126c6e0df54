import { type Attack, held, skipped, type TaskAttack, verdict } from '../attack.ts';
import { kernelAttacks } from './kernel.ts';

const seenAttacks: readonly TaskAttack[] = [
  {
    id: 'escape.capabilities',
    hostKernel: true,
    title: 'Find a capability that was left',
    attack: 'Reads what the kernel says of this process: capabilities, new privileges.',
    expects: 'No capability in any set, none to be had again, no new privileges.',
    script: String.raw`
      const status = read('/proc/self/status');
      const field = (name) => (new RegExp('^' + name + ':\\s*(\\S+)', 'm').exec(status) || [])[1];
      const empty = (name) => () => { const value = field(name); if (value === undefined) throw new Error('not told'); if (/^0+$/.test(value)) nothing(value); return value; };
      await tries({
        effective: empty('CapEff'), permitted: empty('CapPrm'), inheritable: empty('CapInh'),
        bounding: empty('CapBnd'), ambient: empty('CapAmb'),
        'new privileges': () => { const value = field('NoNewPrivs'); if (value === '1') nothing('none'); return String(value); },
      });`,
  },
  {
    id: 'escape.filter',
    hostKernel: true,
    title: 'Run without a filter of system calls',
    attack: 'Reads whether the kernel filters the calls of this process.',
    expects: 'A seccomp filter is on; under gVisor its own kernel answers instead.',
    script: String.raw`
      const mode = (/^Seccomp:\s*(\d)/m.exec(read('/proc/self/status')) || [])[1];
      await tries({ 'no filter': () => { if (mode === '2') nothing('mode 2, a filter'); return 'mode ' + mode; } });`,
  },
  {
    id: 'escape.kernel-settings',
    title: 'Let the host run a program',
    attack: 'Writes core_pattern, modprobe, sysrq-trigger, uevent_helper and binfmt_misc.',
    expects: 'Nothing of it can be opened for writing.',
    script: String.raw`
      const open = (at) => [at, () => opens(at, 'r+')];
      await tries(Object.fromEntries(['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sysrq-trigger',
        '/proc/sys/vm/overcommit_memory', '/proc/sys/kernel/hostname', '/proc/sys/fs/binfmt_misc/register', '/sys/kernel/uevent_helper',
        '/sys/kernel/mm/transparent_hugepage/enabled', '/sys/power/state', '/proc/irq/default_smp_affinity'].map(open)));`,
  },
  {
    id: 'escape.cgroup',
    title: 'Let the host run a program by a cgroup',
    attack: 'Writes release_agent and notify_on_release, makes a group, raises its own limits.',
    expects: 'The control groups can only be read.',
    script: String.raw`
      const dirs = ['/sys/fs/cgroup', ...list('/sys/fs/cgroup').map((name) => '/sys/fs/cgroup/' + name)].filter((at) => { try { return fs.statSync(at).isDirectory(); } catch { return false; } }).slice(0, 20);
      const names = ['release_agent', 'notify_on_release', 'cgroup.procs', 'memory.max', 'memory.limit_in_bytes', 'pids.max', 'cpu.max', 'devices.allow'];
      const there = dirs.flatMap((dir) => names.map((name) => dir + '/' + name)).filter((at) => fs.existsSync(at)).slice(0, 60);
      await tries({
        'any file of a group': () => look('cgroup files', there, (at) => { try { opens(at, 'r+'); return true; } catch { return false; } }),
        'a group of its own': () => look('cgroup directories', dirs, (dir) => { const own = dir + '/orchestra'; try { fs.mkdirSync(own); } catch { return false; } const isGroup = list(own).length > 0; fs.rmdirSync(own); return isGroup; }),
      });`,
  },
  {
    id: 'escape.host-root',
    title: 'Look into the files of the host',
    attack: 'Looks for a directory of this machine by its path and through /proc/*/root and cwd.',
    expects: 'Nothing that lies outside is there.',
    script: String.raw`
      const roots = ['', ...pids().flatMap((pid) => ['/proc/' + pid + '/root', '/proc/' + pid + '/cwd/../../../../../..'])];
      const canary = facts.canary.join('');
      await tries({
        'by its path': () => look('places', roots.map((root) => root + facts.outside), (at) => fs.existsSync(at)),
        'its content': () => look('files', roots.map((root) => root + facts.outside + '/secret.txt'), (at) => read(at).includes(canary)),
        'the shadow file': () => look('files', roots.map((root) => root + '/etc/shadow'), (at) => /^\w+:\$/m.test(read(at))),
        'root of process 1 to write': () => writes('/proc/1/root/etc/orchestra', 'x'),
      });`,
  },
  {
    id: 'escape.host-secrets',
    title: 'Find a secret of the host',
    attack: 'Searches environment, command lines and memory maps of every process it can see.',
    expects: 'Nothing of what this selftest keeps in its files is seen.',
    script: String.raw`
      const canary = facts.canary.join('');
      const texts = pids().flatMap((pid) => ['environ', 'cmdline', 'maps', 'mountinfo'].map((name) => read('/proc/' + pid + '/' + name)));
      await tries({
        'the canary': () => look('texts', [...texts, JSON.stringify(process.env)], (text) => text.includes(canary)),
        'credentials in the environment': () => look('names', Object.keys(process.env), (name) => /TOKEN|SECRET|PASSWORD|CREDENTIAL|AWS_|ANTHROPIC|OPENAI|SSH_|DOCKER_|KUBE/i.test(name)),
      });`,
  },
  {
    id: 'escape.host-processes',
    title: 'See the processes of the host',
    attack: 'Lists /proc and looks for the daemon, the engine and this selftest.',
    expects: 'Only processes of this sandbox are there.',
    script: String.raw`
      const all = pids();
      await tries({
        'more than its own': () => { if (all.length > 8) return all.length + ' processes'; nothing(all.length + ' processes'); },
        'a daemon': () => look('command lines', all.map((pid) => read('/proc/' + pid + '/cmdline')), (text) => /orchestrad|dockerd|containerd|conmon|podman(?!-init)/.test(text)),
        'the process outside': () => opens('/proc/' + facts.hostPid + '/status'),
      });`,
  },
  {
    id: 'escape.overwrite-runtime',
    title: 'Overwrite the runtime from inside',
    attack: 'Opens /proc/1/exe and /proc/self/exe for writing, the pattern of CVE-2019-5736.',
    expects: 'Neither can be opened for writing.',
    script: String.raw`
      const again = () => { const fd = fs.openSync('/proc/self/exe', 'r'); try { opens('/proc/self/fd/' + fd, 'r+'); } finally { fs.closeSync(fd); } };
      await tries({
        '/proc/1/exe': () => opens('/proc/1/exe', 'r+'),
        '/proc/self/exe': () => opens('/proc/self/exe', 'r+'),
        'through an open file': again,
        'a runtime in memory': () => look('programs', pids().map((pid) => link('/proc/' + pid + '/exe')), (at) => /runc|crun|memfd|conmon/.test(at)),
      });`,
  },
  {
    id: 'escape.leaked-files',
    hostKernel: true,
    title: 'Use an open file that was left',
    attack: 'Follows every open file of its processes upwards, the pattern of CVE-2024-21626.',
    expects: 'No open file leads to a directory outside, and the working directory is inside.',
    script: String.raw`
      const fds = ['self', ...pids()].flatMap((pid) => list('/proc/' + pid + '/fd').map((fd) => '/proc/' + pid + '/fd/' + fd));
      const own = /^(?:\/run\/gate\/(?:out|err)$|\/workspace|\/dev\/(?:null|urandom|random|pts|tty|zero)|\/tmp|\/proc|\/usr|\/bin|\/lib|\/opt|\/home|pipe:|socket:|anon_inode:|\/memfd)/;
      await tries({
        'an open directory': () => look('open files', fds.filter((fd) => link(fd) !== ''), (fd) => { try { return fs.statSync(fd).isDirectory() && !link(fd).startsWith('/proc'); } catch { return false; } }),
        'a file of elsewhere': () => look('open files', fds.map(link), (at) => at !== '' && !own.test(at)),
        'upwards through one': () => look('open files', fds, (fd) => fs.existsSync(fd + '/../../../../../../..' + facts.outside)),
        'from the working directory': () => { if (process.cwd().startsWith('/workspace/')) nothing(process.cwd()); return process.cwd(); },
      });`,
  },
  {
    id: 'escape.engine-socket',
    title: 'Speak to the engine',
    attack:
      'Looks for sockets of Docker, containerd, Podman and Orchestra, and for any socket at all.',
    expects: 'There is no socket in the file system.',
    script: String.raw`
      const known = ['/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/run/podman/podman.sock', '/run/orchestra/orchestra.sock', '/run/orchestra/engine/docker.sock', facts.socket];
      const sockets = [];
      const walk = (dir, depth) => { if (depth > 4 || sockets.length > 20) return; for (const name of list(dir)) { const at = dir + '/' + name; let stat; try { stat = fs.lstatSync(at); } catch { continue; } if (stat.isSocket()) sockets.push(at); if (stat.isDirectory() && !/^\/(?:proc|sys|usr|opt)/.test(at)) walk(at, depth + 1); } };
      for (const top of ['/run', '/var', '/tmp', '/dev', '/etc', '/home', '/mnt', '/srv', '/root']) walk(top, 0);
      await tries({
        ...Object.fromEntries(known.map((at) => ['connect ' + at, () => dial({ path: at })])),
        'any socket': () => look('sockets', ['none', ...sockets], (at) => at !== 'none'),
      });`,
  },
  {
    id: 'escape.devices',
    hostKernel: true,
    title: 'Find or make a device',
    attack: 'Looks for disks under /dev, makes block and character devices, opens them.',
    expects: 'Only the usual harmless devices are there; none can be made in the workspace.',
    script: String.raw`
      const harmless = /^(?:core|fd|full|mqueue|null|ptmx|pts|random|shm|std(?:in|out|err)|tty|urandom|zero|console|init)$/;
      const node = (at, kind, major, minor) => () => { program('/bin/busybox', 'mknod', at, kind, String(major), String(minor)); opens(at, 'r'); };
      await tries({
        'a device that should not be there': () => look('names in /dev', list('/dev'), (name) => !harmless.test(name)),
        'a disk': node('disk', 'b', 8, 0),
        'memory in the workspace': node('memory', 'c', 1, 1),
        'memory in /tmp': node('/tmp/memory', 'c', 1, 1),
        'memory in /dev': node('/dev/shm/memory', 'c', 1, 1),
      });`,
  },
  {
    id: 'escape.root-files',
    title: 'Write to the image',
    attack: 'Writes to /, /etc, /usr/bin, /var and to the files that the engine adds.',
    expects: 'The whole root is read-only.',
    script: String.raw`
      const at = ['/x', '/etc/passwd', '/etc/ld.so.preload', '/etc/hosts', '/etc/resolv.conf', '/etc/hostname', '/usr/bin/x', '/bin/busybox', '/usr/local/bin/x', '/var/x', '/opt/x', '/root/x', '/run/x', '/sys/x', '/sys/fs/cgroup/x', '/dev/x', '/workspace/../x'];
      await tries(Object.fromEntries(at.map((name) => [name, () => opens(name, 'a')])));`,
  },
  {
    id: 'escape.kernel-memory',
    hostKernel: true,
    title: 'Read the kernel',
    attack: 'Kernel log, kcore, kmsg, symbol addresses and timers.',
    expects: 'Nothing of it can be read.',
    script: String.raw`
      const content = (at) => () => { if (fs.statSync(at).isDirectory() ? list(at).length === 0 : fs.readFileSync(at).length === 0) nothing('it is empty'); return 'it has content'; };
      const first = (at) => () => { const fd = fs.openSync(at, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK); try { const bytes = fs.readSync(fd, Buffer.alloc(64)); if (bytes === 0) nothing('it is empty'); return bytes + ' bytes'; } finally { fs.closeSync(fd); } };
      await tries({
        'the log by a call': () => sys('syslog', 3, Buffer.alloc(512), 512),
        '/dev/kmsg': () => opens('/dev/kmsg'),
        '/proc/kmsg': () => opens('/proc/kmsg'),
        '/proc/kcore': first('/proc/kcore'),
        '/proc/timer_list': first('/proc/timer_list'),
        '/proc/keys': first('/proc/keys'),
        '/sys/firmware': content('/sys/firmware'),
        'addresses of symbols': () => look('symbols', read('/proc/kallsyms').split('\n').slice(0, 50).filter((line) => line !== ''), (line) => !/^0+ /.test(line)),
      });`,
  },
  {
    id: 'escape.mount-flags',
    hostKernel: true,
    title: 'Bring a set-id program or a device along',
    attack: 'Reads the flags of every mount that can be written to.',
    expects: 'Each of them is mounted nosuid and nodev.',
    script: String.raw`
      const mounts = read('/proc/self/mountinfo').split('\n').map((line) => line.split(' ')).filter((parts) => parts.length > 6).map((parts) => ({ at: parts[4], flags: parts[5].split(',') }));
      const mine = mounts.filter(({ at, flags }) => flags.includes('rw') && !/^\/(?:proc|dev$|dev\/pts|sys)/.test(at));
      await tries({
        'without nosuid': () => look('mounts', mine.filter(({ flags }) => !flags.includes('nosuid')).map(({ at }) => at).concat('none'), (at) => at !== 'none'),
        'without nodev': () => look('mounts', mine.filter(({ flags }) => !flags.includes('nodev')).map(({ at }) => at).concat('none'), (at) => at !== 'none'),
        'none at all': () => { if (mine.length >= 2) nothing(mine.map(({ at }) => at).join(' ')); return mine.length + ' mounts'; },
      });`,
  },
];

const neighbour: Attack = {
  id: 'escape.neighbour',
  title: 'Reach a task that runs at the same time',
  attack: 'One task leaves traces everywhere it can and listens; another one searches for them.',
  expects: 'The other one finds no file, process, socket or shared memory, while both run.',
  play: async (field) => {
    const name = `neighbour-${field.token}`;
    const { seen } = await field.play(
      [
        {
          id: 'victim',
          script: String.raw`
            for (const dir of ['/tmp', '/dev/shm', '/workspace', os.homedir()]) try { fs.writeFileSync(dir + '/${name}', '${name}'); } catch {}
            net.createServer().listen('\0${name}').unref();
            net.createServer().listen(4321, '0.0.0.0').unref();
            const from = Date.now(); await sleep(6000);
            tell({ began: { through: false, text: 'NOTHING: ' + from + ' ' + Date.now() } });`,
        },
        {
          id: 'thief',
          script: String.raw`
            const from = Date.now(); await sleep(2500);
            await tries({
              'a file': () => look('places', ['/tmp', '/dev/shm', '/workspace', os.homedir()].map((dir) => dir + '/${name}'), (at) => fs.existsSync(at)),
              'a process': () => look('command lines', pids().map((pid) => read('/proc/' + pid + '/cmdline')), (text) => text.includes('victim')),
              'a socket without a path': () => dial({ path: '\0${name}' }),
              'a port': () => dial({ host: '127.0.0.1', port: 4321 }),
            });
            tell({ began: { through: false, text: 'NOTHING: ' + from + ' ' + Date.now() } });`,
        },
      ],
      { concurrency: 2 },
    );
    const [victim, thief] = [seen.get('victim')?.answers, seen.get('thief')?.answers];
    const [a, b] = [timesOf(victim?.['began']?.text), timesOf(thief?.['began']?.text)];
    if (a === undefined || b === undefined) return skipped('one of the two did not run');
    // The search took place while the other one was at work.
    if (b[0] + 2500 < a[0] || b[1] > a[1]) return skipped('the two did not run at the same time');
    const found = Object.entries(thief ?? {}).filter(([key, { text, through }]) => {
      return key !== 'began' && (through || !/^(?:NOTHING|ECONNREFUSED|ENOENT)/.test(text));
    });
    return found.length === 0
      ? held('nothing was found while both ran')
      : verdict(false, found.map(([key, { text }]) => `${key} → ${text}`).join(', '));
  },
};

function timesOf(text: string | undefined): [number, number] | undefined {
  const found = /^NOTHING: (\d+) (\d+)$/.exec(text ?? '');
  return found === null ? undefined : [Number(found[1]), Number(found[2])];
}

export const escapeAttacks: readonly Attack[] = [...kernelAttacks, ...seenAttacks, neighbour];
