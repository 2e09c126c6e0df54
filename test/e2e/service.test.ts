import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateKeyPairSync } from 'node:crypto';
import { buildBundle } from '#packaging/bundle/build.ts';
import { savedArchive } from '#packaging/bundle/image.ts';
import { buildDeb } from '#packaging/deb/build.ts';
import { findEngine } from '#setup/engine/find.ts';
import { ensureImage } from '#setup/image/images.ts';
import { SystemdMachine, whyNoSystemd } from '#test/support/systemd-machine.ts';

const root = new URL('../..', import.meta.url).pathname;
const reason = await whyNoSystemd();

/** Asks without a pause for argv[2] ms; prints how often it got no answer, and the longest wait. */
const asking = `
import { request } from 'node:http';
const until = Date.now() + Number(process.argv[2]);
let asked = 0, lost = 0, longest = 0;
const once = () => new Promise((resolve) => {
  const at = performance.now();
  const over = (n) => { lost += n; longest = Math.max(longest, performance.now() - at); resolve(); };
  request({ socketPath: '/run/orchestra/orchestra.sock', path: '/v1/runs', agent: false }, (answer) => {
    answer.resume().on('end', () => over(answer.statusCode === 200 ? 0 : 1));
  }).on('error', () => over(1)).end();
  asked += 1;
});
while (Date.now() < until) { await once(); await new Promise((r) => setTimeout(r, 10)); }
console.log(JSON.stringify({ asked, lost, longest }));
`;

describe.skipIf(reason !== undefined)(
  `the package on a Debian with systemd (${reason ?? 'here'})`,
  () => {
    let share: string;
    let machine: SystemdMachine;

    beforeAll(async () => {
      share = mkdtempSync(join(tmpdir(), 'orc-service-'));
      // The users in it read from there as well.
      chmodSync(share, 0o755);
      const engine = await findEngine({ env: process.env });
      const image = await ensureImage({
        engine,
        cacheDir: join(share, 'cache'),
        progress: () => {},
      });
      const docker = (args: readonly string[]) =>
        execFileSync('docker', ['-H', engine.host, ...args]);
      const saved = join(share, 'saved.tar');
      docker(['save', '-o', saved, image.tag]);
      writeFileSync(join(share, 'asking.mjs'), asking);
      const key = generateKeyPairSync('ed25519');
      writeFileSync(join(share, 'key.pem'), key.publicKey.export({ type: 'spki', format: 'pem' }));
      const { manifest } = await buildBundle({
        ...how,
        out: join(share, 'bundle'),
        image: async (file) => savedArchive(file, saved),
        key: key.privateKey,
      });
      rmSync(saved);
      cpSync(join(share, 'bundle', manifest.package), join(share, 'orchestra.deb'));
      newer();
      machine = await SystemdMachine.start(share);
      await machine.sh('useradd -m maria; useradd -m stranger');
    }, 600_000);

    afterAll(async () => {
      await machine[Symbol.asyncDispose]();
      rmSync(share, { recursive: true, force: true });
    });

    const how = { root, version: '0.0.1', epoch: 1_700_000_000, compression: 'gzip' } as const;

    /** The next version, whose settings file says something that the one before does not. */
    const newer = () => {
      const stage = join(share, 'stage');
      execFileSync('dpkg-deb', ['-R', join(share, 'orchestra.deb'), stage]);
      appendFileSync(join(stage, 'etc/orchestra/orchestrad.yaml'), '# new in 0.0.2\n');
      for (const name of ['DEBIAN/control', 'usr/lib/orchestra/package.json']) {
        const text = readFileSync(join(stage, name), 'utf8');
        writeFileSync(join(stage, name), text.replace('0.0.1', '0.0.2~test'));
      }
      const to = join(share, 'newer.deb');
      execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '-b', stage, to]);
      rmSync(stage, { recursive: true });
    };

    const as = (user: string, command: string) =>
      machine.sh(`cd /home/${user} && runuser -u ${user} -- ${command}`);

    test('the same sources make the same package, byte for byte', async () => {
      const { file } = await buildDeb({ ...how, out: join(share, 'again') });
      const [one, other] = [file, join(share, 'orchestra.deb')].map((each) => readFileSync(each));
      expect(one?.equals(other ?? Buffer.alloc(0))).toBe(true);
      rmSync(file);
    });

    test('it installs within a minute, and its sockets are open', async () => {
      const at = performance.now();
      const installed = await machine.sh('dpkg -i /share/orchestra.deb');
      expect(installed.code, installed.out).toBe(0);
      expect(performance.now() - at).toBeLessThan(60_000);
      const { out } = await machine.sh(
        'systemctl is-active orchestrad.socket orchestra-signer.socket',
      );
      expect(out).toBe('active\nactive\n');
    });

    test('the bundle that it came in is verified there by a key from elsewhere, and its image is loaded', async () => {
      const verify = 'orchestra bundle verify /share/bundle --strict --key';
      const verified = await machine.sh(`${verify} /share/key.pem`);
      expect([verified.code, verified.out]).toEqual([0, expect.stringMatching(/^OK: Orchestra/)]);
      const other = await machine.sh(`${verify} sha256:${'0'.repeat(64)}`);
      expect([other.code, other.out]).toEqual([4, expect.stringContaining('another key')]);
      const loaded = await machine.sh('orchestra image load /share/bundle/image.tar');
      expect(loaded.code, loaded.out).toBe(0);
    });

    test('a member of the group uses it, a stranger does not get to the socket', async () => {
      await machine.sh('usermod -aG orchestra maria');
      const stranger = await as('stranger', 'orchestra runs');
      expect([stranger.code, stranger.out]).toEqual([
        5,
        expect.stringMatching(
          /this user may not use it .*daemon\.unreachable\n.*usermod -aG orchestra/,
        ),
      ]);
      const doctor = await as('maria', 'orchestra doctor');
      expect(doctor.code, doctor.out).toBe(0);
      const ran = await as('maria', "orchestra --quiet exec -- sh -c 'echo seen; id -u'");
      expect([ran.code, ran.out]).toEqual([0, expect.stringMatching(/seen\n\d+\n/)]);
    });

    test('the daemon has no capability, and neither it nor a caller gets to the signer’s keys', async () => {
      const status = await machine.sh(
        'cat /proc/$(systemctl show -p MainPID --value orchestrad)/status',
      );
      expect(status.out).toMatch(/^CapEff:\t0+$/m);
      expect(status.out).toMatch(/^CapBnd:\t0+$/m);
      expect(status.out).toMatch(/^NoNewPrivs:\t1$/m);
      expect(status.out).toMatch(/^Seccomp:\t2$/m);
      const keys = await machine.sh('runuser -u orchestra -- ls /var/lib/orchestra-signer');
      expect(keys.out).toContain('Permission denied');
      const socket = await machine.sh('stat -c "%U %a" /run/orchestra-signer/signer.sock');
      expect(socket.out).toBe('orchestra 600\n');
    });

    test('an upgrade to another version during a run: its task runs on, who follows it goes on, what is lost is said, nobody is refused', async () => {
      // Unpacking is the slow part, and no daemon notices it; the restart comes when it is configured.
      const unpacked = await machine.sh('dpkg --unpack /share/newer.deb');
      expect(unpacked.code, unpacked.out).toBe(0);
      const seconds = 25;
      const command = `sh -c 'for i in $(seq ${seconds}); do echo tick $i; sleep 1; done'`;
      const running = as('maria', `orchestra exec -- ${command}`);
      await machine.until('docker ps -q | grep -q .');
      const asked = as('maria', '/usr/lib/orchestra/bin/node /share/asking.mjs 15000');
      const watched = as('maria', 'orchestra watch @last');
      const upgraded = await machine.sh('dpkg --configure orchestra');
      expect(upgraded.code, upgraded.out).toBe(0);
      const ran = await running;
      // The installed profile starts sandboxes cold, and what such a one writes while no daemon is there is lost.
      const said = ran.out.split('\n').filter((line) => /^(?:tick|\[orchestra: some)/.test(line));
      const gap = said.findIndex((line) => line.startsWith('['));
      const ticks = Array.from({ length: seconds }, (_, at) => `tick ${at + 1}`);
      const after = ticks.indexOf(said[gap + 1] ?? '');
      const lossIsSaid = [...ticks.slice(0, gap), said[gap], ...ticks.slice(after)];
      expect([ran.code, said]).toEqual([0, gap === -1 ? ticks : lossIsSaid]);
      expect(ran.out).toContain('the daemon went away');
      expect((await watched).code).toBe(0);
      const run = await as('maria', 'orchestra runs -n 1');
      expect(run.out).toContain('succeeded');
      const list = 'orchestra audit list --type container.adopted';
      expect((await as('maria', list)).code).toBe(6);
      const records = await machine.sh(list);
      expect(records.out).toContain('container.adopted');
      expect(JSON.parse((await asked).out)).toMatchObject({ lost: 0 });
      expect((await as('maria', 'orchestra version')).out).toContain('0.0.2~test');
    });

    test('settings that somebody changed stay over an upgrade, and the new ones lie beside them', async () => {
      const settings = '/etc/orchestra/orchestrad.yaml';
      await machine.sh(`echo 'tasks_at_once: 3' >> ${settings}`);
      const back = await machine.sh(
        'dpkg --force-confold --force-downgrade -i /share/orchestra.deb',
      );
      expect(back.code, back.out).toBe(0);
      const kept = await machine.sh(`tail -n 1 ${settings}; ls /etc/orchestra`);
      expect(kept.out).toContain('tasks_at_once: 3');
      expect(kept.out).toContain('orchestrad.yaml.dpkg-dist');
      const shown = await machine.sh('orchestra config show');
      expect(shown.out).toMatch(/tasks_at_once\s+3/);
      await machine.sh(`mv ${settings}.dpkg-dist ${settings}; systemctl restart orchestrad`);
    });

    test('a reload takes policies that are in order, and says in the status which are not', async () => {
      const folder = '/etc/orchestra/policies';
      await machine.sh(
        `cd /etc/orchestra; cp orchestrad.yaml /tmp/before; mkdir -p ${folder}; echo 'policies: ${folder}' >> /etc/orchestra/orchestrad.yaml; systemctl restart orchestrad`,
      );
      await machine.until('orchestra policy show');
      await machine.sh(`echo 'nonsense: 1' > ${folder}/mine.yaml`);
      await machine.sh('systemctl reload orchestrad');
      await machine.until('systemctl status orchestrad | grep -q "reload refused: .*mine.yaml"');
      await machine.sh(`rm ${folder}/mine.yaml; systemctl reload orchestrad`);
      await machine.until('! systemctl status orchestrad | grep -q "reload refused"');
      expect((await machine.sh('systemctl is-active orchestrad')).out).toBe('active\n');
      await machine.sh(`cat /tmp/before > /etc/orchestra/orchestrad.yaml; rmdir ${folder}`);
    });

    test('without an engine every command says so at once, and with it the service is back by itself', async () => {
      await machine.sh('systemctl stop docker.socket docker; systemctl restart orchestrad');
      await machine.until('systemctl status orchestrad | grep -q "Status: .waiting: "');
      const refused = await as('maria', 'orchestra exec -- true');
      expect([refused.code, refused.out]).toEqual([
        5,
        expect.stringMatching(/engine\.unavailable[^]*systemctl start docker/),
      ]);
      const doctor = await as('maria', 'orchestra doctor');
      expect([doctor.code, doctor.out]).toEqual([1, expect.stringContaining('docker.sock')]);
      await machine.sh('systemctl start docker');
      await machine.until('systemctl status orchestrad | grep -q "Status: .0 runs open"');
      const ran = await as('maria', 'orchestra --quiet exec -- true');
      expect(ran.code, ran.out).toBe(0);
    });

    test('a daemon that is killed, and one that stands still, are started again', async () => {
      const restarts = async () =>
        Number((await machine.sh('systemctl show -p NRestarts --value orchestrad')).out);
      const drop = '/run/systemd/system/orchestrad.service.d';
      await machine.sh(
        `mkdir -p ${drop} && printf '[Service]\\nWatchdogSec=3\\n' > ${drop}/test.conf`,
      );
      await machine.sh('systemctl daemon-reload; systemctl restart orchestrad');
      const before = await restarts();
      await machine.sh('kill -KILL $(systemctl show -p MainPID --value orchestrad)');
      await expect.poll(restarts).toBe(before + 1);
      await machine.until('systemctl is-active --quiet orchestrad');
      await machine.sh('kill -STOP $(systemctl show -p MainPID --value orchestrad)');
      await expect.poll(restarts).toBe(before + 2);
      const doctor = await as('maria', 'orchestra runs');
      expect(doctor.code, doctor.out).toBe(0);
    });

    test('a removal ends the service, a purge leaves the log, and takes it where root asked for that', async () => {
      const removed = await machine.sh('dpkg -r orchestra && dpkg -P orchestra');
      expect(removed.out).toContain('The log and the runs stay in /var/lib/orchestra');
      const kept = await machine.sh(
        'ls /var/lib/orchestra/state; docker ps -aq; ls /etc/orchestra',
      );
      expect(kept.out).toContain('audit');
      expect(kept.out).toContain("cannot access '/etc/orchestra'");
      await machine.sh('dpkg -i /share/orchestra.deb && touch /etc/orchestra/purge-state');
      const purged = await machine.sh('dpkg -P orchestra');
      expect(purged.code, purged.out).toBe(0);
      const left = await machine.sh(
        'ls -A /var/lib/orchestra; ls -d /var/lib/orchestra-signer /etc/orchestra',
      );
      expect(left.out.split('\n').filter((line) => !line.includes('cannot access'))).toEqual(['']);
    });
  },
);
