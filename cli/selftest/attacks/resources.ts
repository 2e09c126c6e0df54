import { readdirSync, readFileSync } from 'node:fs';
import { type Attack, down, held, type Seen, skipped, type Verdict, verdict } from '../attack.ts';
import { allRefused, began, limited, notTried } from '../judge.ts';

/** Refused inside, or ended from outside by the limit's name: both are the wall. */
function refusedOrLimited(limit: string, codes: readonly string[]) {
  return (seen: Seen): Verdict => {
    if (seen.task?.limit === limit && began(seen)) return limited(limit)(seen);
    const { began: _, ...answers } = seen.answers;
    return allRefused({ ...seen, answers }, codes);
  };
}

const scripts: readonly Attack[] = [
  {
    id: 'resources.fork-bomb',
    title: 'Fork without end',
    attack: 'Starts processes that start processes, with a limit of 32.',
    expects: 'The limit of processes is met, named, and ends or stops it.',
    limits: { pids: 32, timeout: '30s' },
    script: String.raw`
      began();
      for (let i = 0; i < 200; i += 1) cp.spawn('/bin/sh', ['-c', 'sleep 4 & sleep 4 & sleep 4'], { stdio: 'ignore' }).on('error', () => {});
      setTimeout(() => process.exit(3), 2500);`,
    judge: limited('pids'),
  },
  {
    id: 'resources.memory',
    title: 'Take all memory',
    attack: 'Fills memory without end, with a limit of 64 MiB and no swap.',
    expects: 'The kernel ends it and the limit is named.',
    limits: { memory: '64MiB', timeout: '30s' },
    script: 'began(); const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1));',
    judge: limited('memory'),
  },
  {
    id: 'resources.shared-memory',
    title: 'Take memory by files in it',
    attack: 'Fills /dev/shm and /tmp, which are memory, with a limit of 96 MiB for all.',
    expects: 'The memory counts as its own: it is full early or the task is ended.',
    limits: { memory: '96MiB', tmp: '64MiB', timeout: '30s' },
    script: String.raw`
      began();
      const fill = (dir) => () => { for (let i = 0; i < 512; i += 1) fs.writeFileSync(dir + '/' + i, Buffer.alloc(1 << 20, 1)); return '512 MiB'; };
      await tries({ '/dev/shm': fill('/dev/shm'), '/tmp': fill('/tmp') });`,
    judge: (seen) => {
      const { task, answers } = seen;
      if (!began(seen)) return notTried(seen);
      if (task?.limit === 'memory' || task?.limit === 'tmp') return limited('memory', 'tmp')(seen);
      // The child that was killed for its memory may be the whole task.
      if (task?.signal === 'SIGKILL' || task?.exitCode === 137) return held('it was killed');
      const { began: _, ...rest } = answers;
      return allRefused({ ...seen, answers: rest }, ['ENOSPC', 'ENOMEM']);
    },
  },
  {
    id: 'resources.output-flood',
    title: 'Print without end',
    attack: 'Lines as fast as they go, with a limit of 256 KiB.',
    expects: 'Ended by the limit; what is kept is no more than the limit.',
    limits: { output: '256KiB', timeout: '30s' },
    script: String.raw`
      began();
      const lines = Buffer.from('y\n'.repeat(32768));
      for (;;) { try { fs.writeSync(1, lines); } catch (error) { if (error.code !== 'EAGAIN') throw error; } }`,
    judge: flooded(256 * 1024),
  },
  {
    id: 'resources.endless-line',
    title: 'Print a line without end',
    attack: 'No line end ever, on both streams, with a limit of 256 KiB.',
    expects: 'Ended by the limit; what is kept is no more than the limit.',
    limits: { output: '256KiB', timeout: '30s' },
    script: String.raw`
      began();
      const text = Buffer.alloc(65536, 0x41);
      for (let i = 0; ; i += 1) { try { fs.writeSync(1 + (i % 2), text); } catch (error) { if (error.code !== 'EAGAIN') throw error; } }`,
    judge: flooded(256 * 1024),
  },
  {
    id: 'resources.file-size',
    title: 'Write one file without end',
    attack: 'One file in the workspace, with a limit of 4 MiB for a file.',
    expects: 'The write is refused or the task is ended, and the limit is named.',
    limits: { file_size: '4MiB', timeout: '30s' },
    script: String.raw`
      began();
      const fd = fs.openSync('big', 'w'); const piece = Buffer.alloc(1 << 20);
      await tries({ 'more than 4 MiB': () => { for (let i = 0; i < 64; i += 1) fs.writeSync(fd, piece); return '64 MiB'; } });`,
    judge: refusedOrLimited('file_size', ['EFBIG']),
  },
  {
    id: 'resources.disk',
    title: 'Fill the disk with many files',
    attack: '200 files of 1 MiB, slowly, with a limit of 16 MiB for all of them.',
    expects: 'Ended by the limit of the disk, or refused by it.',
    limits: { disk: '16MiB', timeout: '40s' },
    script: String.raw`
      began();
      for (let i = 0; i < 200; i += 1) { fs.writeFileSync('f' + i, Buffer.alloc(1 << 20, i)); await sleep(50); }
      await sleep(5000);`,
    judge: limited('disk'),
  },
  {
    id: 'resources.inodes',
    title: 'Take all inodes',
    attack: '5,000 empty files with a limit of 200.',
    expects: 'Ended by the limit of files, or refused by it.',
    limits: { disk_files: 200, timeout: '40s' },
    script: String.raw`
      began();
      for (let i = 0; i < 5000; i += 1) { fs.writeFileSync('f' + i, ''); if (i % 100 === 0) await sleep(50); }
      await sleep(5000);`,
    judge: limited('disk_files'),
  },
  {
    id: 'resources.tmp',
    title: 'Fill the temporary directory',
    attack: 'Writes to /tmp until it is full, with a limit of 4 MiB.',
    expects: 'Full at the limit.',
    limits: { tmp: '4MiB', timeout: '30s' },
    script: String.raw`
      began();
      await tries({ 'more than 4 MiB': () => { for (let i = 0; i < 64; i += 1) fs.writeFileSync('/tmp/' + i, Buffer.alloc(1 << 20, 1)); return '64 MiB'; } });`,
    judge: refusedOrLimited('tmp', ['ENOSPC']),
  },
  {
    id: 'resources.open-files',
    title: 'Open files without end',
    attack: 'Opens /dev/null again and again, with a limit of 64.',
    expects: 'Refused at the limit.',
    limits: { open_files: 64, timeout: '30s' },
    script: String.raw`
      began();
      await tries({ 'more than 64': () => { for (let i = 0; i < 5000; i += 1) fs.openSync('/dev/null'); return '5000'; } });`,
    judge: refusedOrLimited('open_files', ['EMFILE', 'ENFILE']),
  },
  {
    id: 'resources.raise-limits',
    hostKernel: true,
    title: 'Raise its own limits',
    attack: 'prlimit, ulimit, a higher priority and a place in front of all others.',
    expects: 'Every change is refused.',
    script: String.raw`
      const most = Buffer.alloc(16, 0xff); most.writeUInt32LE(0xfffffffe, 0);
      const plain = Buffer.alloc(16); plain.writeUInt32LE(1000000000, 0); plain.writeUInt32LE(1000000000, 8);
      await tries({
        'open files': () => sys('prlimit64', 0, 7, plain, 0),
        'size of a file': () => sys('prlimit64', 0, 1, most, 0),
        processes: () => sys('prlimit64', 0, 6, most, 0),
        'ulimit -n': () => program('/bin/sh', '-c', 'ulimit -H -n 1000000000'),
        priority: () => sys('setpriority', 0, 0, -20),
        'in real time': () => sys('sched_setscheduler', 0, 1, Buffer.from([1, 0, 0, 0])),
      });`,
    judge: (seen) => allRefused(seen, ['EINVAL', 'EXIT1', 'EXIT2']),
  },
  {
    id: 'resources.processor',
    title: 'Take every processor',
    attack: 'Four busy programs for two seconds, with a limit of half a processor.',
    expects: 'Together they get little more than half a processor.',
    limits: { cpus: 0.5, timeout: '30s' },
    script: String.raw`
      began();
      const busy = 'const end = Date.now() + 2000; while (Date.now() < end); const { user, system } = process.cpuUsage(); console.log(user + system)';
      const from = performance.now();
      const used = await Promise.all([1, 2, 3, 4].map(() => new Promise((resolve) => cp.execFile(process.execPath, ['-e', busy], (error, out) => resolve(Number(out) || 0)))));
      const cpus = used.reduce((a, b) => a + b, 0) / 1000 / (performance.now() - from);
      tell({ cpus: { through: cpus > 0.8, text: cpus.toFixed(2) + ' processors' } });`,
    judge: ({ answers, ...rest }) => {
      const cpus = answers['cpus'];
      if (cpus === undefined) return notTried({ answers, ...rest });
      return verdict(!cpus.through && !cpus.text.startsWith('0.00'), cpus.text);
    },
  },
  {
    id: 'resources.time',
    title: 'Stay for ever',
    attack: 'Ignores every signal that can be ignored, with a limit of 2 seconds.',
    expects: 'Ended by the limit of time.',
    limits: { timeout: '2s' },
    script: String.raw`
      for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGXCPU']) process.on(name, () => {});
      began(); setInterval(() => {}, 1000);`,
    judge: limited('timeout'),
  },
  {
    id: 'resources.silence',
    title: 'Say nothing for ever',
    attack: 'Waits without a word, with a limit of 2 seconds of silence.',
    expects: 'Ended by the limit of silence.',
    limits: { idle: '2s', timeout: '30s' },
    script: 'began(); setInterval(() => {}, 1000);',
    judge: limited('idle'),
  },
  {
    id: 'resources.zombies',
    title: 'Leave dead processes behind',
    attack: 'Hundreds of children of children that nobody waits for, with a limit of 64.',
    expects: 'Something reaps them: later processes still start.',
    limits: { pids: 64, timeout: '40s' },
    script: String.raw`
      const orphan = () => new Promise((resolve) => cp.execFile('/bin/sh', ['-c', '( : & ) ; ( : & ) ; :'], resolve));
      for (let i = 0; i < 100; i += 1) await orphan();
      await sleep(200);
      await tries({ 'too many dead': () => look('processes', pids(), (pid) => /^\d+ \(.*\) Z/.test(read('/proc/' + pid + '/stat')) && pids().length > 40) });
      program('/bin/true');`,
  },
];

function flooded(bytesMax: number) {
  return (seen: Seen): Verdict => {
    const ended = limited('output')(seen);
    const bytes = seen.task?.outputBytes ?? 0;
    if (ended.held !== true) return ended;
    // A little more may be kept: the piece that crossed the line.
    return verdict(bytes <= bytesMax * 1.25, `${ended.happened}; ${bytes} bytes are kept`);
  };
}

const survivor: Attack = {
  id: 'resources.survivor',
  title: 'Outlive the task',
  attack: 'A process in a session of its own, detached, that writes on after the task ended.',
  expects: 'It is seen on this machine while the task runs, and gone once the task is over.',
  play: async (field) => {
    const marker = `survivor-${field.token}`;
    const watching = new AbortController();
    const watched = seenMeanwhile(marker, watching.signal);
    const { seen } = await field.play([
      {
        id: 'survivor',
        script: String.raw`
          const endless = "const fs = require('fs'); setInterval(() => { try { fs.appendFileSync('late.txt', 'late'); } catch {} }, 5)";
          for (let i = 0; i < 3; i += 1) cp.spawn('/bin/busybox', ['setsid', process.execPath, '-e', endless, '${marker}'], { detached: true, stdio: 'ignore' }).unref();
          began(); await sleep(1500); process.exit(0);`,
        outputs: { late: 'late.txt' },
      },
    ]);
    watching.abort();
    const wasSeen = await watched;
    const own = seen.get('survivor');
    if (own === undefined || !began(own)) return skipped('the task did not report that it began');
    const alive = processesWith(marker);
    if (alive > 0) return down(`${alive} processes are still there`);
    const [late] = own.task?.artifacts ?? [];
    if (!wasSeen) {
      return late !== undefined && late.bytes > 0
        ? skipped('the processes of tasks are not to be seen from here')
        : skipped('the process did not start');
    }
    return held('seen while the task ran, gone after it');
  },
};

async function seenMeanwhile(marker: string, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (processesWith(marker) > 0) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

function processesWith(marker: string): number {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(marker);
    } catch {
      // It ended a moment ago.
      return false;
    }
  }).length;
}

const neighbour: Attack = {
  id: 'resources.neighbours',
  title: 'Take the time of others',
  attack: 'A fork bomb, a flood and a memory bomb beside a task that only counts.',
  expects: 'The task beside them does its work and the daemon answers.',
  play: async (field) => {
    const limits = { pids: 32, memory: '96MiB', output: '1MiB', timeout: '5s', cpus: 0.5 };
    const { seen } = await field.play([
      {
        id: 'bombs',
        limits,
        script: `began(); const all = []; setInterval(() => { for (let i = 0; i < 5; i += 1) cp.spawn('/bin/sleep', ['3'], { stdio: 'ignore' }).on('error', () => {}); all.push(Buffer.alloc(1 << 20, 1)); console.log('x'.repeat(20000)); }, 50);`,
      },
      {
        id: 'counts',
        script: `for (let i = 0; i < 20; i += 1) await sleep(50); fs.writeFileSync('well.txt', 'well'); began();`,
        outputs: { well: 'well.txt' },
      },
    ]);
    const [bombs, counts] = [seen.get('bombs'), seen.get('counts')];
    if (bombs === undefined || !began(bombs)) return skipped('the bombs did not begin');
    const isWell = counts?.task?.state === 'succeeded' && (await field.isReady());
    return verdict(
      isWell,
      `bombs: ${bombs.task?.limit ?? bombs.task?.state}; beside them: ${counts?.task?.state ?? 'nothing'}`,
    );
  },
};

export const resourceAttacks: readonly Attack[] = [...scripts, survivor, neighbour];
