/**
 * Kills a writer with SIGKILL at a random moment of 10,000 appends, again and again:
 * `node bench/audit-kill.ts [--rounds 200] [--records 10000]`. After each round every record that was
 * acknowledged is there, the log opens again, goes on and verifies. A new log every ten rounds.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openSignedLog } from '#test/support/signed-by-near.ts';
import { verifyLog } from '#verifier/verify.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    records: { type: 'string', default: '10000' },
  },
});
const rounds = Number(values.rounds);
const records = Number(values.records);
const writer = join(import.meta.dirname, '../test/support/faulty-writer.ts');
const dir = await mkdtemp(join(tmpdir(), 'orchestra-audit-kill-'));
const told = { rounds: 0, killed: 0, acknowledged: 0, torn: 0, lost: 0, broken: 0 };

try {
  for (let round = 0; round < rounds; round += 1) {
    const log = join(dir, `log-${Math.floor(round / 10)}`);
    if (round % 10 === 0)
      await rm(join(dir, `log-${round / 10 - 1}`), { recursive: true, force: true });
    // Spread over the whole of it, one round of ten is let go on to its end.
    const killAt = round % 10 === 9 ? Infinity : Math.ceil(Math.random() * records);
    const acknowledged = await writeUntilKilled(log, killAt);
    told.rounds += 1;
    told.killed += killAt === Infinity ? 0 : 1;
    told.acknowledged += acknowledged.size;
    await judge(log, acknowledged);
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
console.table([told]);
process.exitCode = told.lost + told.broken === 0 ? 0 : 1;

async function writeUntilKilled(log: string, killAt: number): Promise<Map<number, string>> {
  const child = spawn(process.execPath, [writer, log, String(records / 2)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acknowledged = new Map<number, string>();
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, seq, what] = /^ack (\d+) (.*)$/.exec(line) ?? [];
      if (seq !== undefined) acknowledged.set(Number(seq), what ?? '');
    }
    if (acknowledged.size >= killAt) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.once('close', resolve));
  return acknowledged;
}

async function judge(dir: string, acknowledged: ReadonlyMap<number, string>): Promise<void> {
  try {
    const opened = await openSignedLog(dir);
    const seen = new Map<number, unknown>();
    const keys: string[] = [];
    for await (const { record } of opened.log.read()) {
      if (record.type === 'log.recovered') told.torn += 1;
      if (record.type === 'key.created') keys.push(String(record.data['vkey']));
      seen.set(record.seq, record.data['what']);
    }
    await opened.close();
    for (const [seq, what] of acknowledged) if (seen.get(seq) !== what) told.lost += 1;
    const { exit } = await verifyLog(dir, { keys });
    if (exit !== 0) told.broken += 1;
  } catch (error) {
    console.error(error);
    told.broken += 1;
  }
}
