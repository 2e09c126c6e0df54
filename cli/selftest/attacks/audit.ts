import type { LogRecord } from '#contract/records.ts';
import { checkHead } from '../../audit-heads.ts';
import { type Attack, down, held, skipped, verdict } from '../attack.ts';
import type { Field, Played } from '../field.ts';
import { began } from '../judge.ts';

// oxlint-disable-next-line no-control-regex -- nothing but tabs and line ends may be left of these
const steering = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
const evil = String.raw`\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[1;1H\x1b[8mexit 0\x1bP+q544e\x1b\\\x9b6n\u202ereversed\r`;

/** Every record of a run, from the log itself and not from the run's own stream. */
async function recordsOf(field: Field, { run }: Played): Promise<LogRecord[]> {
  const found: LogRecord[] = [];
  for (let cursor: number | undefined = run.audit.first; cursor !== undefined;) {
    const page: { items: { record: LogRecord }[]; next_cursor?: number | undefined } =
      await field.client.call('auditList', { query: { run: run.id, limit: 500, cursor } });
    found.push(...page.items.map(({ record }) => record));
    cursor = page.next_cursor;
  }
  return found;
}

async function rejections(field: Field): Promise<LogRecord[]> {
  const { items } = await field.client.call('auditList', {
    query: { type: 'api.rejected', last: 50 },
  });
  return items.map(({ record }) => record);
}

/** A request that was refused after `before`: by itself, or counted when its minute is over. */
async function rejectionOf(
  field: Field,
  path: string,
  before: number,
): Promise<LogRecord | undefined> {
  const deadline = performance.now() + 70_000;
  for (;;) {
    const since = (await rejections(field)).filter(({ seq }) => seq > before);
    const found =
      since.find(({ data }) => JSON.stringify(data).includes(path)) ??
      since.find(({ data }) => data['more'] !== undefined);
    if (found !== undefined || performance.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, 2_000));
  }
}

const attacks: readonly Attack[] = [
  {
    id: 'audit.forged-records',
    title: 'Print records',
    attack: 'Prints lines in the form of the log, of its stream of events, and of the output log.',
    expects: 'They come back as output, byte for byte; no record and no line of the log is made.',
    play: async (field) => {
      const forged = [
        `{"v":1,"seq":0,"prev":"${'0'.repeat(64)}","type":"run.closed","data":{"outcome":"succeeded","forged":"${field.token}"}}`,
        `id: 0\nevent: record\ndata: {"type":"policy.decided","data":{"forged":"${field.token}"}}\n\n`,
        `{"t":0,"s":0,"d":"a remark of Orchestra ${field.token}"}`,
        '\u0001\u0000\u0000\u0000\u0000\u0000\u0000\u0004fake',
        '\u0002\u0000\u0000\u0000\u00ff\u00ff\u00ff\u00ff',
        `::set-output name=x::${field.token}`,
      ].join('\n');
      const played = await field.play([
        {
          id: 'prints',
          script: `began(); process.stdout.write(${JSON.stringify(forged)});`,
        },
      ]);
      const own = played.seen.get('prints');
      if (own === undefined || !began(own)) return skipped('the task did not run');
      const isExact = own.printed.endsWith(Buffer.from(forged, 'utf8').toString('latin1'));
      const records = await recordsOf(field, played);
      const made = records.filter((record) => JSON.stringify(record.data).includes(field.token));
      const isHeld = isExact && made.length === 0 && played.links.verdict.intact;
      return verdict(
        isHeld,
        `output ${isExact ? 'exact' : 'changed'}, ${made.length} records made, ${played.links.verdict.text}`,
      );
    },
  },
  {
    id: 'audit.terminal',
    title: 'Steer the terminal of whoever looks',
    attack:
      'Escape sequences in output, in names of files and outputs, seen by logs, diff, report, show and artifacts.',
    expects: 'No control character reaches what the commands print.',
    play: async (field) => {
      const { run, seen } = await field.play([
        {
          id: 'steers',
          script: `began(); console.log('${evil}'); console.error('${evil}'); process.exit(1);`,
        },
        {
          id: 'names',
          script: `fs.mkdirSync('out'); for (const dir of ['.', 'out']) fs.writeFileSync(dir + '/' + '${evil}'.replaceAll('/', ''), '${evil}'); fs.writeFileSync('own.txt', '${evil}'); began(); console.log('${evil}honest');`,
          outputs: { o: 'out' },
        },
      ]);
      const own = seen.get('names');
      if (own === undefined || !began(own)) return skipped('the task did not run');
      const shown: string[] = [];
      let isHeld = true;
      for (const args of [
        ['logs', run.id],
        ['diff', run.id],
        ['report', run.id],
        ['show', run.id],
        ['artifacts', 'ls', run.id],
        ['audit', 'list', '--run', run.id],
      ]) {
        const { code, out, err } = await field.cli(args);
        const isClean = !steering.test(out) && !steering.test(err);
        shown.push(`${args[0]} → exit ${code}, ${isClean ? 'clean' : 'STEERS'}`);
        isHeld &&= isClean && code === 0 && out.length > 0;
      }
      const { out } = await field.cli(['logs', run.id]);
      return verdict(isHeld && out.includes('honest'), shown.join('; '));
    },
  },
  {
    id: 'audit.report',
    title: 'Write into the report',
    attack: 'Titles and output names with HTML, Markdown tables, links and headings.',
    expects: 'They are in the report as text: no markup, no row, no heading of theirs.',
    play: async (field) => {
      const markup = `<img src=x onerror=alert(1)> | [x](http://192.0.2.1/) \`# Verified\` ${field.token}`;
      const { digest } = await field.snapshot(await field.folder('empty'));
      const text = JSON.stringify({
        version: 1,
        name: markup.slice(0, 110),
        tasks: [
          {
            id: 'a',
            title: markup.slice(0, 110),
            tool: 'sh',
            args: ['-c', `echo '${markup}'; exit 1`],
          },
        ],
      });
      const { run } = await field.submit({
        snapshot: digest,
        plan: { text, file: `# ${field.token}.md` },
      });
      const report = await field.client.content('runReport', {
        params: { id: run.id },
        bytesMax: 4 * 1024 ** 2,
      });
      const markdown = report.toString('utf8');
      const wrong = [
        /(?<!\\)<img/.test(markdown) ? 'HTML' : '',
        /(?<!\\)\[x\]\(http/.test(markdown) ? 'a link' : '',
        new RegExp(`^# .*${field.token}`, 'm').test(markdown) ? 'a heading' : '',
      ].filter((word) => word !== '');
      if (!markdown.includes('onerror')) return skipped('the report does not show the title');
      return verdict(wrong.length === 0, wrong.length === 0 ? 'shown as text' : wrong.join(', '));
    },
  },
  {
    id: 'audit.write',
    title: 'Write to the log',
    attack: 'POST, PUT, PATCH and DELETE on the log and its records; a forged actor.',
    expects: 'Refused; an earlier record is the same before and after.',
    play: async (field) => {
      const { size } = await field.client.call('auditHead');
      const seq = String(Math.max(0, size - 1));
      const before = await field.client.call('auditShow', { params: { seq } });
      const answers: string[] = [];
      let isHeld = true;
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        for (const path of ['/v1/audit/records', `/v1/audit/records/${seq}`, '/v1/audit/head']) {
          const { status } = await field.ask({
            method,
            path,
            body: JSON.stringify({ record: before.record }),
          });
          answers.push(`${method} ${status}`);
          isHeld &&= status === 404 || status === 405;
        }
      }
      const after = await field.client.call('auditShow', { params: { seq } });
      isHeld &&= after.hash === before.hash;
      return verdict(isHeld, `${[...new Set(answers)].join(', ')}; record ${seq} is the same`);
    },
  },
  {
    id: 'audit.read-elsewhere',
    title: 'Read other files through the log',
    attack: 'Record numbers that are paths, negative or huge; filters that are SQL.',
    expects: 'Refused, or an empty answer; never more than was asked for.',
    play: async (field) => {
      const answers: string[] = [];
      let isHeld = true;
      for (const seq of [
        '..%2f..%2fetc%2fpasswd',
        '-1',
        '1e99',
        '0x10',
        '99999999999',
        '%00',
        'NaN',
      ]) {
        const { status } = await field.ask({ path: `/v1/audit/records/${seq}` });
        answers.push(`${seq} → ${status}`);
        // 0x10 is a number, and there is such a record.
        isHeld &&= (status >= 400 && status < 500) || seq === '0x10';
      }
      const filters = {
        type: "x' OR '1'='1",
        actor: "' OR 1=1 --",
        text: '%" OR 1=1; DROP TABLE records; --',
      };
      for (const [name, value] of Object.entries(filters)) {
        const query = new URLSearchParams({ [name]: value, limit: '50' });
        const { status, text } = await field.ask({ path: `/v1/audit/records?${query.toString()}` });
        const count = [...text.matchAll(/"seq":/g)].length;
        answers.push(`${name} → ${status}, ${count} records`);
        // Asking is itself on record with its words, so a search for them may find that.
        isHeld &&= status < 500 && count <= 3;
      }
      return verdict(isHeld && (await field.isReady()), answers.join(', '));
    },
  },
  {
    id: 'audit.refusals',
    title: 'Attack without leaving a trace',
    attack: 'A malformed request and a plan that is denied, then a look into the log for both.',
    expects:
      'Both are on record, with who it was; of many requests a minute the last, with their number.',
    play: async (field) => {
      const path = `/v1/none-${field.token}`;
      const before = (await rejections(field)).at(-1)?.seq ?? -1;
      await field.ask({ path });
      const { digest } = await field.snapshot(await field.folder('empty'));
      const policy = { ...field.policyDocument, name: 'selftest', tools: ['node'] };
      const text = '{"version":1,"tasks":[{"id":"a","tool":"sh","args":["-c","true"]}]}';
      const denied = await field.submit(
        { snapshot: digest, plan: { text, file: 'plan.yaml' } },
        { policy },
      );
      const rejected = await rejectionOf(field, path, before);
      const refusals = (await recordsOf(field, denied)).filter(
        ({ type }) => type === 'run.refused',
      );
      const said = [
        rejected === undefined
          ? 'the request is NOT on record'
          : `the request by ${rejected.actor.auth}, uid ${rejected.actor.uid ?? 'unknown'}`,
        refusals.length === 1 ? 'the plan with its reasons' : 'the plan is NOT on record',
      ];
      return verdict(
        rejected !== undefined &&
          refusals.length === 1 &&
          denied.run.tasks.every(({ startedAt }) => startedAt === undefined),
        said.join('; '),
      );
    },
  },
  {
    id: 'audit.containers',
    title: 'Run a container that is not on record',
    attack: 'Takes every task of this selftest and looks for its container in the whole log.',
    expects:
      'Each was made, started, let go, ended and removed on record, announced before and told after.',
    play: async (field) => {
      const wanted = await containersOf(field);
      if (wanted.size === 0) return skipped('no container was made');
      // What is over is removed beside the next task, so the last ones may still be on their way.
      let missing: string[] = [];
      for (let attempt = 0; attempt < 20; attempt += 1) {
        const lives = await livesSince(field);
        missing = [...wanted].flatMap(([id, task]) =>
          lackOf(lives.get(id)).map((step) => `${task}: ${step}`),
        );
        if (missing.length === 0) break;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      return missing.length === 0
        ? held(`${wanted.size} containers, each with its whole life on record`)
        : down(`missing: ${missing.slice(0, 10).join(', ')}`);
    },
  },
  {
    id: 'audit.links',
    title: 'Leave out a record',
    attack: 'Checks here, by its own hashing, the chain of every run of this selftest.',
    expects: 'Every run is closed, every link holds, and none is missing.',
    play: (field) => {
      const broken = field.runs.filter(
        ({ links }) => !links.verdict.intact || !links.verdict.text.includes('none missing'),
      );
      if (field.runs.length === 0) return Promise.resolve(skipped('there was no run'));
      return Promise.resolve(
        broken.length === 0
          ? held(`${field.runs.length} runs, every link holds`)
          : down(broken.map(({ run, links }) => `${run.id}: ${links.verdict.text}`).join(', ')),
      );
    },
  },
  {
    id: 'audit.order',
    title: 'Act before it is allowed',
    attack:
      'Looks for a command that began before policy said yes, or before its receipt was sealed.',
    expects:
      'For every task: the decision, the receipt of its sandbox, its command, and its end, in this order.',
    play: async (field) => {
      const wrong: string[] = [];
      let tasks = 0;
      for (const played of field.runs) {
        const records = await recordsOf(field, played);
        for (const { id } of played.run.tasks) {
          const own = records.filter(({ obj }) => obj?.['task'] === id);
          const at = (type: string) => own.find((each) => each.type === type)?.seq;
          const order = ['policy.decided', 'sandbox.receipt', 'container.release', 'task.finished'];
          if (at('container.release') === undefined) continue;
          tasks += 1;
          const seqs = order.map((type) => at(type) ?? -1);
          const isOrdered = seqs.every((seq, i) => seq > (seqs[i - 1] ?? -1));
          if (!isOrdered) wrong.push(`${played.run.id} ${id}`);
        }
      }
      if (tasks === 0) return skipped('no task was started');
      return verdict(
        wrong.length === 0,
        wrong.length === 0 ? `${tasks} tasks, each in order` : wrong.join(', '),
      );
    },
  },
  {
    id: 'audit.stumble',
    title: 'Make the daemon stumble',
    attack: 'All of the above, and then a look for errors that the daemon could not explain.',
    expects: 'It has none on record since the selftest began.',
    play: async (field) => {
      // Requests that were broken off are dealt with a moment later.
      await field.isReady();
      const { items } = await field.client.call('auditList', {
        query: { type: 'daemon.error', cursor: field.firstSeq, limit: 20 },
      });
      const said = items.map(({ record }) => `#${record.seq} ${String(record.data['what'])}`);
      return verdict(items.length === 0, items.length === 0 ? 'none' : said.join(', '));
    },
  },
  {
    id: 'audit.verify',
    title: 'Break the log',
    attack:
      'After all of the above: verifies the whole log, and its head against what was seen before.',
    expects: 'The log verifies, and nothing that was seen before is gone.',
    play: async (field) => {
      const result = await field.client.call('auditVerify', { timeoutMs: 10 * 60_000 });
      const check = await checkHead(field.context.env, field.client);
      const said = `${result.verdict}, ${result.records} records`;
      if (!check.holds) return down(`${said}; ${check.detail}`);
      return verdict(result.exit_code === 0 || result.exit_code === 3, said);
    },
  },
];

const steps = ['container.create', 'container.start', 'container.release', 'container.remove'];

/** The containers that the runs of this selftest were given, each with its task. */
async function containersOf(field: Field): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const played of field.runs) {
    for (const { type, obj } of await recordsOf(field, played)) {
      const container = obj?.['container'];
      if (type === 'container.release' && container !== undefined) {
        found.set(container, `${played.run.id} ${obj?.['task'] ?? ''}`);
      }
    }
  }
  return found;
}

/** By container: what was announced, what was told, and that it ended. */
async function livesSince(field: Field): Promise<Map<string, Set<string>>> {
  const lives = new Map<string, Set<string>>();
  const announced = new Set<string>();
  for (const type of [...steps, 'container.exited']) {
    for (const record of await recordsSince(field, type)) {
      const { req = '', stage, obj } = record;
      if (stage === 'intent') announced.add(req);
      // An intent to create knows no id yet: the request ties it to its result.
      const isWhole = stage === 'note' || (stage === 'result' && announced.has(req));
      const container = obj?.['container'];
      if (!isWhole || container === undefined) continue;
      lives.set(container, (lives.get(container) ?? new Set()).add(type));
    }
  }
  return lives;
}

function lackOf(life: ReadonlySet<string> | undefined): string[] {
  return [...steps, 'container.exited'].filter((step) => life?.has(step) !== true);
}

async function recordsSince(field: Field, type: string): Promise<LogRecord[]> {
  const found: LogRecord[] = [];
  for (let cursor: number | undefined = field.firstSeq; cursor !== undefined;) {
    const page: { items: { record: LogRecord }[]; next_cursor?: number | undefined } =
      await field.client.call('auditList', { query: { type, limit: 500, cursor } });
    found.push(...page.items.map(({ record }) => record));
    cursor = page.next_cursor;
  }
  return found;
}

export const auditAttacks: readonly Attack[] = attacks;
