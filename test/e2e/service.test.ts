import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
    let digest: string;

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
      docker(['save', '-o', join(share, 'image.tar'), image.tag]);
      writeFileSync(join(share, 'asking.mjs'), asking);
      const { file, sha256 } = await build('.');
      renameSync(file, join(share, 'orchestra.deb'));
      digest = sha256;
      machine = await SystemdMachine.start(share);
      await machine.sh('docker load < /share/image.tar; useradd -m maria; useradd -m stranger');
    }, 300_000);

    afterAll(async () => {
      await machine[Symbol.asyncDispose]();
      rmSync(share, { recursive: true, force: true });
    });

    const build = (folder: string) =>
      buildDeb({
        root,
        out: join(share, folder),
        version: '0.0.1',
        epoch: 1_700_000_000,
        compression: 'gzip',
      });

    const as = (user: string, command: string) =>
      machine.sh(`cd /home/${user} && runuser -u ${user} -- ${command}`);

    test('the same sources make the same package, byte for byte', async () => {
      expect((await build('again')).sha256).toBe(digest);
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

    test('a member of the group uses it, a stranger does not get to the socket', async () => {
      await machine.sh('usermod -aG orchestra maria');
      const stranger = await as('stranger', 'orchestra runs');
      expect([stranger.code, stranger.out]).toEqual([
        5,
        expect.stringContaining('daemon.unreachable'),
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

    test('an upgrade during a run leaves its task running, the next daemon adopts it, and nobody is refused', async () => {
      const command = "sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo tick $i; sleep 1; done'";
      const running = as('maria', `orchestra exec -- ${command}`);
      await machine.until('docker ps -q | grep -q .');
      const asked = as('maria', '/usr/lib/orchestra/bin/node /share/asking.mjs 15000');
      const upgraded = await machine.sh('dpkg -i /share/orchestra.deb');
      expect(upgraded.code, upgraded.out).toBe(0);
      await running;
      await as('maria', 'orchestra wait @last');
      const run = await as('maria', 'orchestra runs -n 1');
      expect(run.out).toContain('succeeded');
      const records = await as('maria', 'orchestra audit list --type container.adopted');
      expect(records.out).toContain('container.adopted');
      const output = await as('maria', 'orchestra logs @last');
      expect(output.out).toContain('tick 12');
      expect(JSON.parse((await asked).out)).toMatchObject({ lost: 0 });
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
