import { type Attack, type TaskAttack, verdict } from '../attack.ts';
import { allRefused } from '../judge.ts';

const unreachable = ['ENETUNREACH', 'EADDRNOTAVAIL', 'ECONNREFUSED', 'EHOSTUNREACH', 'EINVAL'];
const unresolved = ['EAI_AGAIN', 'ENOTFOUND', 'ENODATA', 'ECONNREFUSED', 'ETIMEOUT', 'ECANCELLED'];

const scripts: readonly TaskAttack[] = [
  {
    id: 'network.interfaces',
    title: 'Find an interface',
    attack: 'Lists interfaces, routes and neighbours.',
    expects: 'There is a loopback and nothing else, and no route leads anywhere.',
    script: String.raw`
      const names = read('/proc/net/dev').split('\n').slice(2).map((line) => line.split(':')[0].trim()).filter((name) => name !== '');
      await tries({
        'an interface': () => look('interfaces', Object.keys(os.networkInterfaces()), (name) => name !== 'lo'),
        // Some kernels put placeholders of tunnels into every namespace; they have no address and are down.
        'one that is up': () => look('interfaces', names.filter((name) => name !== 'lo').concat('lo'), (name) => name !== 'lo' && read('/sys/class/net/' + name + '/operstate').trim() === 'up'),
        'a route': () => look('routes', read('/proc/net/route').split('\n').slice(1).concat('lo'), (line) => line.trim() !== '' && !line.startsWith('lo')),
      });`,
  },
  {
    id: 'network.host-tcp',
    title: 'Connect to the host',
    attack: 'TCP to a listener of this selftest on every address of the host, loopback included.',
    expects: 'No connection, and nothing waits for an answer.',
    script: String.raw`
      const hosts = [...new Set([...facts.addresses, '127.0.0.1', '172.17.0.1', '10.0.2.2', '192.168.65.2'])];
      await tries(Object.fromEntries(hosts.map((host) => [host, () => dial({ host, port: facts.port })])));`,
    judge: (seen, field) => {
      const judged = allRefused(seen, unreachable);
      return field.heard > 0
        ? verdict(false, `the listener was reached ${field.heard} times`)
        : judged;
    },
  },
  {
    id: 'network.host-udp',
    title: 'Send to the host',
    attack: 'UDP to every address of the host but its loopback.',
    expects: 'Every packet is refused at once.',
    script: String.raw`
      const hosts = [...new Set([...facts.addresses.filter((host) => !host.includes(':') && !host.startsWith('127.')), '172.17.0.1', '255.255.255.255'])];
      await tries(Object.fromEntries(hosts.map((host) => [host, () => send(host, facts.port)])));`,
    judge: (seen) => allRefused(seen, unreachable),
  },
  {
    id: 'network.metadata',
    title: 'Ask the cloud for credentials',
    attack: 'The metadata services of clouds: 169.254.169.254, its IPv6 forms, 169.254.170.2.',
    expects: 'No connection.',
    script: String.raw`
      await tries({
        'IPv4': () => dial({ host: '169.254.169.254', port: 80 }),
        'IPv6': () => dial({ host: 'fd00:ec2::254', port: 80 }),
        'containers': () => dial({ host: '169.254.170.2', port: 80 }),
        'as a number': () => dial({ host: '2852039166', port: 80 }),
      });`,
    judge: (seen) => allRefused(seen, [...unreachable, ...unresolved]),
  },
  {
    id: 'network.internet',
    title: 'Reach the internet',
    attack: 'TCP and UDP to addresses that are kept for documentation, IPv4 and IPv6.',
    expects: 'Refused at once, not by a timeout.',
    script: String.raw`
      await tries({
        'TCP 192.0.2.1': () => dial({ host: '192.0.2.1', port: 443 }),
        'TCP 198.51.100.1': () => dial({ host: '198.51.100.1', port: 80 }),
        'TCP 2001:db8::1': () => dial({ host: '2001:db8::1', port: 443 }),
        'UDP 192.0.2.1': () => send('192.0.2.1', 53),
        'UDP 2001:db8::1': () => send('2001:db8::1', 53, 'udp6'),
      });`,
    judge: (seen) => allRefused(seen, unreachable),
  },
  {
    id: 'network.names',
    title: 'Resolve a name',
    attack:
      'DNS by the system, by the resolver that Docker puts at 127.0.0.11, by its own packets.',
    expects: 'No name is resolved: names leak data even where nothing else does.',
    script: String.raw`
      const ask = (server) => new Promise((resolve, reject) => { const own = new dns.Resolver({ timeout: 1500, tries: 1 }); own.setServers([server]); own.resolve4('example.org', (error, at) => error ? reject(error) : resolve(at)); });
      await tries({
        'example.org': () => lookup('example.org'),
        'host.docker.internal': () => lookup('host.docker.internal'),
        'host.containers.internal': () => lookup('host.containers.internal'),
        'the resolver of the engine': () => ask('127.0.0.11'),
        'a public resolver': () => ask('192.0.2.53'),
        'a name in the hosts file': () => look('lines', read('/etc/hosts').split('\n').filter((line) => /^[^#\s]/.test(line)), (line) => !/^(?:127\.0\.0\.1|::1|f[ef]0\d::\S*|fe00::\S*)\s/.test(line)),
      });`,
    judge: (seen) => allRefused(seen, [...unreachable, ...unresolved]),
  },
  {
    id: 'network.raw',
    title: 'Make packets of its own',
    attack: 'Raw and packet sockets, and ping.',
    expects: 'Every socket of that kind is refused.',
    script: String.raw`
      await tries({
        'raw ICMP': () => sys('socket', 2, 3, 1),
        'raw IP': () => sys('socket', 2, 3, 255),
        'raw IPv6': () => sys('socket', 10, 3, 58),
        'packet': () => sys('socket', 17, 3, 0x0300),
        'ping': () => program('/bin/busybox', 'ping', '-c', '1', '-w', '2', '192.0.2.1'),
      });`,
    judge: (seen) => allRefused(seen, unreachable),
  },
  {
    id: 'network.vsock',
    hostKernel: true,
    title: 'Speak to the hypervisor',
    attack: 'AF_VSOCK, which no network namespace holds back.',
    expects: 'The socket is refused.',
    script: `await tries({ stream: () => sys('socket', 40, 1, 0), datagram: () => sys('socket', 40, 2, 0) });`,
  },
  {
    id: 'network.odd-families',
    hostKernel: true,
    title: 'Open an odd socket',
    attack:
      'AF_ALG, AF_KEY, TIPC, CAN, Bluetooth, XDP, SMC: a large part of the kernel, seldom tested.',
    expects: 'Each of them is refused.',
    script: String.raw`
      const families = { AF_ALG: [38, 5, 0], AF_KEY: [15, 3, 2], AF_TIPC: [30, 1, 0], AF_CAN: [29, 3, 1], AF_BLUETOOTH: [31, 3, 1], AF_XDP: [44, 3, 0], AF_SMC: [43, 1, 0], AF_RDS: [21, 5, 0], AF_KCM: [41, 5, 0], AF_QIPCRTR: [42, 2, 0] };
      await tries(Object.fromEntries(Object.entries(families).map(([name, words]) => [name, () => sys('socket', ...words)])));`,
    judge: (seen) => allRefused(seen, ['ESOCKTNOSUPPORT']),
  },
  {
    id: 'network.configure',
    hostKernel: true,
    title: 'Configure the network',
    attack: 'Makes an interface, an address, a route and a listening tunnel.',
    expects: 'Every change is refused.',
    script: String.raw`
      await tries({
        'an interface': () => program('/bin/busybox', 'ip', 'link', 'add', 'orchestra0', 'type', 'dummy'),
        'an address': () => program('/bin/busybox', 'ip', 'addr', 'add', '192.0.2.2/24', 'dev', 'lo'),
        'a route': () => program('/bin/busybox', 'ip', 'route', 'add', 'default', 'dev', 'lo'),
        'a setting': () => opens('/proc/sys/net/ipv4/ip_forward', 'r+'),
        'a tunnel': () => opens('/dev/net/tun', 'r+'),
      });`,
    judge: (seen) => allRefused(seen, ['EXIT1', 'EXIT2']),
  },
  {
    id: 'network.abstract-socket',
    title: 'Connect to a socket without a path',
    attack: 'An abstract unix socket of the host, which file permissions do not guard.',
    expects: 'Nobody listens there, as seen from inside.',
    script: String.raw`
      await tries({
        'of this selftest': () => dial({ path: facts.abstract }),
        'of containerd': () => dial({ path: '\0/containerd-shim/orchestra.sock' }),
        'any that is listed': () => look('sockets', read('/proc/net/unix').split('\n').slice(1), (line) => / @/.test(line)),
      });`,
    judge: (seen, field) => {
      const judged = allRefused(seen, ['ECONNREFUSED']);
      return field.heard > 0
        ? verdict(false, `the listener was reached ${field.heard} times`)
        : judged;
    },
  },
  {
    id: 'network.link-local',
    title: 'Speak to the neighbours on the link',
    attack: 'IPv6 link-local and multicast: all nodes, all routers, mDNS.',
    expects: 'Refused at once.',
    script: String.raw`
      await tries({
        'all nodes': () => send('ff02::1', 9, 'udp6'),
        'all routers': () => send('ff02::2', 9, 'udp6'),
        'mDNS': () => send('224.0.0.251', 5353),
        'TCP fe80::1': () => dial({ host: 'fe80::1', port: 80 }),
      });`,
    judge: (seen) => allRefused(seen, unreachable),
  },
  {
    id: 'network.proxy',
    title: 'Use a proxy that was left',
    attack: 'Looks for proxy settings and for registries with credentials in settings of npm.',
    expects: 'There is none.',
    script: String.raw`
      const settings = ['/workspace/.npmrc', os.homedir() + '/.npmrc', '/usr/local/etc/npmrc', '/etc/npmrc'].map(read).join('\n');
      await tries({
        'in the environment': () => look('names', Object.keys(process.env), (name) => /_proxy$/i.test(name)),
        'a credential': () => look('lines', settings.split('\n'), (line) => /_auth|_password|token/i.test(line)),
        'fetch by Node': async () => { try { await fetch('http://192.0.2.1/', { signal: AbortSignal.timeout(3000) }); } catch (error) { refused((error.cause && error.cause.code) || 'TIMEOUT'); } },
      });`,
    judge: (seen) => allRefused(seen, unreachable),
  },
];

export const networkAttacks: readonly Attack[] = scripts;
