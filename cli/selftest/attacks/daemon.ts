import { lstat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Attack, down, type FreeAttack, held, type Verdict, verdict } from '../attack.ts';
import type { Field } from '../field.ts';
import { type Asked, speak } from '../raw.ts';
import { planAttacks } from './plans.ts';

const refusedRequests = 'Each is refused with a 4xx answer, and the daemon goes on.';

/** Every request is refused, and afterwards the daemon is well. */
async function allRejected(
  field: Field,
  requests: Readonly<Record<string, Asked>>,
): Promise<Verdict> {
  const answers: string[] = [];
  let isHeld = true;
  for (const [name, asked] of Object.entries(requests)) {
    const { status, code, text } = await field.ask(asked);
    const leaks = text.includes(dirname(field.client.socketPath)) && !name.includes('socket');
    answers.push(`${name} → ${status} ${code}${leaks ? ' with a path of the host' : ''}`);
    isHeld &&= status >= 400 && status < 500 && !leaks;
  }
  return verdict(isHeld && (await field.isReady()), answers.join(', '));
}

const requests = (
  id: string,
  title: string,
  attack: string,
  of: (field: Field) => Readonly<Record<string, Asked>>,
): FreeAttack => ({
  id: `daemon.${id}`,
  title,
  attack,
  expects: refusedRequests,
  play: async (field) => allRejected(field, of(field)),
});

const post = (body: string | Buffer): Asked => ({ method: 'POST', path: '/v1/runs', body });
const nowhere = `sha256:${'0'.repeat(64)}`;

const httpAttacks: readonly FreeAttack[] = [
  requests(
    'json',
    'JSON that is none',
    'Nesting 100,000 deep, cut off, no UTF-8, __proto__, unknown and missing fields, wrong kinds.',
    () => ({
      deep: post(`{"intent":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
      'cut off': post('{"intent":'),
      'no UTF-8': post(Buffer.from('7b22ff227d', 'hex')),
      'the key __proto__': post('{"__proto__":{"a":1},"intent":"x"}'),
      'unknown field': post(`{"intent":"x","snapshot":"${nowhere}","actor":{"kind":"daemon"}}`),
      'wrong kind': post(`{"intent":["x"],"snapshot":"${nowhere}"}`),
      'a list': post('[]'),
      nothing: post(''),
    }),
  ),
  requests(
    'paths',
    'Paths that climb',
    'Ids, digests, tasks and outputs that climb, in every spelling.',
    () =>
      Object.fromEntries(
        [
          '/v1/runs/..%2f..%2f..%2fetc%2fpasswd',
          '/v1/runs/%2e%2e/%2e%2e/etc/passwd',
          '/v1/runs/r-0000000000/artifacts/..%2f..%2faudit/o',
          '/v1/runs/r-0000000000/blobs/..%2f..%2fkeys%2freport.key',
          '/v1/snapshots/..%2f..%2faudit',
          '/v1/policies/..%2f..%2f..%2fetc%2fpasswd',
          '/v1/runs/%00',
          '/v1/runs/r-0000000000%00/report',
          '/v1//runs/../../etc/passwd',
        ].map((at) => [at, { path: at }]),
      ),
  ),
  requests(
    'routes',
    'Routes and methods that there are not',
    'PUT, DELETE and PATCH on everything that must not change, and routes of other products.',
    () => ({
      'DELETE a run': { method: 'DELETE', path: '/v1/runs/r-0000000000' },
      'PUT a policy': { method: 'PUT', path: '/v1/policies/default', body: '{}' },
      'PATCH the settings': { method: 'PATCH', path: '/v1/config', body: '{}' },
      'POST a policy': { method: 'POST', path: '/v1/policies', body: '{}' },
      'the engine': { path: '/containers/json' },
      'exec in a container': { method: 'POST', path: '/containers/x/exec', body: '{}' },
      'a debugger': { path: '/debug/pprof/' },
    }),
  ),
  requests(
    'image-pin',
    'Trust another image',
    'Pins images that nobody described, by names, digests and paths.',
    () =>
      Object.fromEntries(
        ['evil:latest', 'sha256:0', '../../etc/passwd', 'node:20-alpine\nx', ''].map(
          (reference, at) => [
            `${at}`,
            { method: 'POST', path: '/v1/images/pin', body: JSON.stringify({ reference }) },
          ],
        ),
      ),
  ),
  {
    id: 'daemon.body-size',
    title: 'A body of 100 MiB',
    attack: 'Sends 100 MiB where JSON is expected, announced and unannounced.',
    expects: 'Refused before all of it is read; the daemon answers others at once.',
    play: async (field) => {
      const piece = Buffer.alloc(1024 * 1024, 0x20);
      const announced = await flood(field, piece, 100, 'content-length: 104857600');
      const chunked = await flood(field, piece, 100, 'transfer-encoding: chunked');
      const said = `announced → ${announced.status}, ${announced.sent} MiB taken; chunked → ${chunked.status}, ${chunked.sent} MiB taken`;
      const isHeld = [announced, chunked].every(
        ({ status, sent }) => status === '413' && sent < 90,
      );
      return verdict(isHeld && (await field.isReady()), said);
    },
  },
  {
    id: 'daemon.headers',
    title: 'Headers without end',
    attack: '5,000 headers, one header of 1 MiB, a request line of 1 MiB.',
    expects: 'Refused or cut off, and the daemon goes on.',
    play: async (field) => {
      const many = Array.from({ length: 5000 }, (_, i) => `x-${i}: ${'y'.repeat(20)}\r\n`).join('');
      const answers = {
        'many headers': `GET /healthz HTTP/1.1\r\nhost: o\r\n${many}\r\n`,
        'a long header': `GET /healthz HTTP/1.1\r\nhost: o\r\nx: ${'y'.repeat(1024 * 1024)}\r\n\r\n`,
        'a long line': `GET /${'y'.repeat(1024 * 1024)} HTTP/1.1\r\nhost: o\r\n\r\n`,
      };
      return spoken(field, answers, /^(?:$|4\d\d)/);
    },
  },
  {
    id: 'daemon.smuggling',
    title: 'Two requests in one',
    attack: 'Both lengths at once, lengths that are none, line ends in headers, wrong chunks.',
    expects: 'Refused: the second request is never answered.',
    play: async (field) => {
      const hidden = 'GET /version HTTP/1.1\r\nhost: o\r\n\r\n';
      return spoken(
        field,
        {
          'both lengths': `POST /v1/plans HTTP/1.1\r\nhost: o\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
          'two lengths': `POST /v1/plans HTTP/1.1\r\nhost: o\r\ncontent-length: 0\r\ncontent-length: 5\r\n\r\n${hidden}`,
          'a length that is none': `POST /v1/plans HTTP/1.1\r\nhost: o\r\ncontent-length: -1\r\n\r\n${hidden}`,
          'a chunk that is none': `POST /v1/plans HTTP/1.1\r\nhost: o\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n${hidden}`,
          'a header in a header': `GET /healthz HTTP/1.1\r\nhost: o\r\nx: a\rb: c\r\n\r\n`,
          'no HTTP': '\u0016\u0003\u0001\u0000\u0000hello\r\n\r\n',
        },
        /^(?:$|4\d\d)/,
      );
    },
  },
  {
    id: 'daemon.slow',
    title: 'Requests that never end',
    attack: '100 connections that send one byte of a header and then nothing.',
    expects: 'Others are answered within two seconds meanwhile.',
    play: async (field) => {
      const sockets: Socket[] = [];
      try {
        for (let i = 0; i < 100; i += 1) {
          const socket = connect(field.client.socketPath);
          socket.on('error', () => undefined);
          socket.write('POST /v1/runs HTTP/1.1\r\nhost: o\r\ncontent-length: 10\r\nx');
          sockets.push(socket);
        }
        const from = performance.now();
        const isReady = await field.isReady();
        const ms = Math.round(performance.now() - from);
        return verdict(isReady && ms < 2000, `answered in ${ms} ms`);
      } finally {
        for (const socket of sockets) socket.destroy();
      }
    },
  },
  {
    id: 'daemon.events',
    title: 'Forge where a stream of events begins',
    attack: 'Last-Event-ID of another run, negative, huge, no number; another run by its id.',
    expects: 'No record of another run is ever sent.',
    play: async (field) => {
      const [one] = field.runs;
      const run = one?.run ?? (await field.play([{ id: 'a', script: 'began();' }])).run;
      const answers: string[] = [];
      let isHeld = true;
      for (const id of [
        '-1',
        '0',
        '1e9',
        '99999999999999999999',
        'x',
        '../0',
        String(run.audit.first - 1),
      ]) {
        const { status, text } = await field.ask({
          path: `/v1/runs/${run.id}/events`,
          headers: { 'last-event-id': id },
        });
        const others = [...text.matchAll(/"run":"(r-[0-9a-z]+)"/g)].filter(
          ([, of]) => of !== run.id,
        );
        answers.push(`${id} → ${status}, ${others.length} of others`);
        isHeld &&= others.length === 0 && status < 500 && status > 0;
      }
      return verdict(isHeld && (await field.isReady()), answers.join('; '));
    },
  },
  {
    id: 'daemon.socket',
    title: 'Open the socket as somebody else',
    attack: 'Reads owner and mode of the socket and of the directory that it lies in.',
    expects: 'Others may neither use the socket nor put another one in its place.',
    play: async (field) => {
      const socket = await lstat(field.client.socketPath);
      const dir = await lstat(dirname(field.client.socketPath));
      const said = `socket ${(socket.mode & 0o7777).toString(8)}, directory ${(dir.mode & 0o7777).toString(8)}`;
      if (!socket.isSocket()) return down('it is no socket');
      return verdict((socket.mode & 0o007) === 0 && (dir.mode & 0o002) === 0, said);
    },
  },
  {
    id: 'daemon.lockfile',
    title: 'A lockfile that fetches from elsewhere',
    attack:
      'Packages from files, from git, from inner addresses and by plain HTTP; without a hash.',
    expects: 'Every run is refused before a packet is sent for it.',
    play: async (field) => {
      const integrity = `sha512-${'A'.repeat(86)}==`;
      const resolved = {
        'a file': 'file:/etc/passwd',
        git: 'git+ssh://git@192.0.2.1/x.git',
        'the metadata service': 'http://169.254.169.254/x.tgz',
        'the host itself': `http://127.0.0.1:${field.port}/x.tgz`,
        'the host by a name': `http://localhost:${field.port}/x.tgz`,
      };
      const answers: string[] = [];
      let isHeld = true;
      const heard = field.heard;
      for (const [name, address] of Object.entries(resolved)) {
        const { state, reason } = await install(field, {
          version: '1.0.0',
          resolved: address,
          integrity,
        });
        answers.push(`${name} → ${state}: ${reason}`);
        isHeld &&= state === 'refused' || state === 'failed' || state === 'violated';
      }
      const bare = await install(field, { version: '1.0.0' });
      answers.push(`without a hash → ${bare.state}: ${bare.reason}`);
      isHeld &&= bare.state !== 'succeeded';
      return verdict(isHeld && field.heard === heard, answers.join('; '));
    },
  },
  {
    id: 'daemon.unknown-runs',
    title: 'Steer runs that are none of one’s business',
    attack: 'Cancels, follows and reads runs that do not exist or are over.',
    expects: 'Refused, and a run that is over stays as it was.',
    play: async (field) => {
      const [one] = field.runs;
      const over = one?.run ?? (await field.play([{ id: 'a', script: 'began();' }])).run;
      const cancel = (id: string): Asked => ({
        method: 'POST',
        path: `/v1/runs/${id}/cancel`,
        body: '{}',
      });
      const judged = await allRejected(field, {
        'one that is over': cancel(over.id),
        'one that is not there': cancel('r-0000000000'),
        'all of them': cancel('*'),
        'the plan of none': { path: '/v1/runs/r-0000000000/plan' },
      });
      const now = await field.client.call('runShow', { params: { id: over.id } });
      if (now.state !== over.state) return down(`the run is ${now.state} now`);
      return judged.held === true ? held(judged.happened) : judged;
    },
  },
];

async function install(
  field: Field,
  entry: Readonly<Record<string, string>>,
): Promise<{ state: string; reason: string }> {
  const dir = await field.folder('project');
  const facts = { name: 'demo', version: '1.0.0', dependencies: { evil: '1.0.0' } };
  await writeFile(path.join(dir, 'package.json'), JSON.stringify(facts));
  const lock = {
    name: 'demo',
    version: '1.0.0',
    lockfileVersion: 3,
    requires: true,
    packages: { '': facts, 'node_modules/evil': entry },
  };
  await writeFile(path.join(dir, 'package-lock.json'), JSON.stringify(lock));
  const { digest } = await field.snapshot(dir);
  const text = '{"version":1,"tasks":[{"id":"install","tool":"npm","args":["ci"]}]}';
  const { run } = await field.submit({ snapshot: digest, plan: { text, file: 'plan.yaml' } });
  const [task] = run.tasks;
  const reason = run.reasons[0] ?? task?.reason ?? run.reason ?? '';
  return { state: run.state, reason: reason.slice(0, 120) };
}

/** Says each text and wants an answer like the pattern; nothing is an answer too: cut off. */
async function spoken(
  field: Field,
  texts: Readonly<Record<string, string>>,
  wanted: RegExp,
): Promise<Verdict> {
  const answers: string[] = [];
  let isHeld = true;
  for (const [name, text] of Object.entries(texts)) {
    const heard = await speak(field.client.socketPath, Buffer.from(text, 'latin1'), 2_000);
    const status = /^HTTP\/1\.1 (\d+)/.exec(heard)?.[1] ?? '';
    answers.push(`${name} → ${status === '' ? 'cut off' : status}`);
    isHeld &&= wanted.test(status) && !heard.includes('"product"');
  }
  return verdict(isHeld && (await field.isReady()), answers.join(', '));
}

/** Sends pieces until somebody answers or all are sent. */
async function flood(
  field: Field,
  piece: Buffer,
  pieces: number,
  length: string,
): Promise<{ status: string; sent: number }> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(field.client.socketPath);
  let heard = '';
  socket.setEncoding('latin1').setMaxListeners(0);
  const end = (): void => resolve(/^HTTP\/1\.1 (\d+)/.exec(heard)?.[1] ?? 'cut off');
  socket.on('data', (part: string) => {
    heard += part;
    end();
  });
  socket.on('error', end).on('close', end);
  const timer = setTimeout(end, 20_000);
  socket.write(
    `POST /v1/runs HTTP/1.1\r\nhost: o\r\ncontent-type: application/json\r\n${length}\r\n\r\n`,
  );
  const isChunked = length.startsWith('transfer');
  let sent = 0;
  const isAnswered = (): boolean => heard !== '';
  const send = async (): Promise<void> => {
    while (sent < pieces && !isAnswered() && !socket.destroyed) {
      if (isChunked) socket.write(`${piece.length.toString(16)}\r\n`);
      const isThrough = socket.write(piece);
      if (isChunked) socket.write('\r\n');
      sent += 1;
      if (!isThrough) await Promise.race([once(socket, 'drain'), promise]);
    }
  };
  await Promise.race([send(), promise]);
  const status = await promise;
  clearTimeout(timer);
  socket.destroy();
  return { status, sent };
}

async function once(socket: Socket, event: 'drain'): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.once(event, resolve).once('close', resolve);
  });
}

export const daemonAttacks: readonly Attack[] = [...planAttacks, ...httpAttacks];
