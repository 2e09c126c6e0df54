/**
 * What it costs to verify a log: records a second, memory, and the ratio to `sha256sum` of the same
 * files. The log is written directly, with runs, segments, tiles and a signed checkpoint for every
 * 1,000 records. 10,000,000 records take about 8 GB.
 * Usage: node bench/verify.ts [--records 1000000] [--dir DIR] [--python] [--write]
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, hash, sign, type KeyObject } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { tileName } from '#verifier/tiles.ts';
import { GrowingTree } from '#verifier/tlog/growing-tree.ts';
import { keyId, spellNote, spellVkey } from '#verifier/tlog/note.ts';
import { verifyPath } from '#verifier/verify-path.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    dir: { type: 'string', default: tmpdir() },
    python: { type: 'boolean' },
    write: { type: 'boolean' },
    verify: { type: 'string' },
    key: { type: 'string' },
  },
});

async function measure(records: number): Promise<void> {
  const dir = mkdtempSync(join(values.dir, 'orchestra-bench-verify-'));
  try {
    const vkey = writeLog(dir, records);
    const summing = timed(() => spawnSync('sh', ['-c', 'sha256sum segments/*'], { cwd: dir }));
    const ours = await verifyCost(dir, vkey);
    const seconds = ours.ms / 1000;
    const python = values.python === true ? timed(() => second(dir, vkey)) : undefined;
    const result = {
      records,
      bytes: ours.bytes,
      sha256sumMs: Math.round(summing),
      verifyMs: Math.round(ours.ms),
      ratio: Math.round((ours.ms / summing) * 100) / 100,
      perSecond: Math.round(records / seconds),
      rssMib: ours.rssMib,
      ...(python === undefined ? {} : { pythonPerSecond: Math.round((records / python) * 1000) }),
    };
    console.table(result);
    if (values.write !== true) return;
    const machine = {
      cpus: cpus().length,
      model: cpus()[0]?.model,
      load: loadavg(),
      node: process.version,
    };
    const folder = join(import.meta.dirname, 'results');
    mkdirSync(folder, { recursive: true });
    const said = { at: new Date().toISOString(), machine, ...result };
    writeFileSync(join(folder, 'verify.json'), `${JSON.stringify(said)}\n`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function timed(work: () => unknown): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

function second(dir: string, vkey: string): void {
  const script = join(import.meta.dirname, '../verifier/python/orchestra_verify.py');
  const { status, stdout } = spawnSync('python3', [script, dir, '--key', vkey], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stdout);
}

// In a process of its own, so that its memory is that of the verifier and nothing else.
async function verifyCost(dir: string, vkey: string) {
  // As the first line of `verifier/main.ts` starts it.
  const flags = ['--max-semi-space-size=8'];
  const args = [...flags, import.meta.filename, '--verify', dir, '--key', vkey];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const out = (await Array.fromAsync(child.stdout)).join('');
  return JSON.parse(out) as { bytes: number; ms: number; rssMib: number };
}

async function verifyAndPrint(dir: string, key: string): Promise<void> {
  const started = performance.now();
  const verdict = await verifyPath(dir, { keys: [key] });
  const ms = performance.now() - started;
  if (verdict.exit !== 0) throw new Error(JSON.stringify(verdict.findings));
  const rssMib = Math.round(process.resourceUsage().maxRSS / 1024);
  process.stdout.write(JSON.stringify({ bytes: verdict.bytes, ms, rssMib }));
}

const segmentBytesMax = 64 * 1024 * 1024;
const perRun = 40;
const zero = '0'.repeat(64);

/** Answers with the key that signed it. */
function writeLog(dir: string, records: number): string {
  const origin = 'bench/orchestra/verify';
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const vkey = spellVkey(origin, 'ed25519', raw);
  mkdirSync(join(dir, 'segments'));
  const notes = openSync(join(dir, 'checkpoints.log'), 'w');
  const tree = new GrowingTree((level, index, bytes) => {
    const path = join(dir, tileName(level, index));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  });
  const log = new Writer(join(dir, 'segments'), tree);
  const checkpoint = () => {
    const note = noteOf(origin, tree, privateKey, raw);
    writeSync(notes, `${note}\n`);
    return note;
  };
  log.append('log.genesis', `{"origin":"${origin}"}`);
  log.append('key.created', `{"epoch":0,"vkey":"${vkey}"}`);
  while (log.seq < records) {
    log.appendNext();
    if (log.seq % 1_000 === 0) checkpoint();
  }
  log.finish();
  writeFileSync(join(dir, 'checkpoint'), checkpoint());
  writeFileSync(join(dir, 'heads.jsonl'), `{"hash":"${log.head}","size":${log.seq}}\n`);
  closeSync(notes);
  return vkey;
}

function noteOf(origin: string, tree: GrowingTree, secret: KeyObject, raw: Buffer): string {
  const text = `${origin}\n${tree.size}\n${tree.root().toString('base64')}\n`;
  const bytes = sign(null, Buffer.from(text), secret);
  return spellNote({
    text,
    signatures: [{ name: origin, id: keyId(origin, 'ed25519', raw), bytes }],
  });
}

class Writer {
  seq = 0;
  head = zero;
  readonly #folder: string;
  readonly #tree: GrowingTree;
  readonly #began = Date.UTC(2026, 0, 1);
  #file = -1;
  #first = 0;
  #bytes = 0;
  #pending: string[] = [];
  #run = { id: '', records: 0, last: zero };

  constructor(folder: string, tree: GrowingTree) {
    this.#folder = folder;
    this.#tree = tree;
    this.#open();
  }

  /** The next record of a run; 771 bytes or so, as the daemon's are on average. */
  appendNext(): void {
    if (this.#bytes > segmentBytesMax) this.#rotate();
    const run = this.#run;
    if (run.records === perRun - 1) {
      this.append('run.closed', `{"outcome":"succeeded","records":${perRun}}`, true);
      this.#run = { id: '', records: 0, last: zero };
      return;
    }
    if (run.records === 0)
      this.#run = { id: `r-${String(this.seq).padStart(12, '0')}`, records: 0, last: zero };
    const digest = createHash('sha256').update(String(this.seq)).digest('hex');
    const data = `{"attempt":1,"effective":"sha256:${digest}","reason":"${'why '.repeat(24)}","spec":"sha256:${digest}"}`;
    this.append('task.started', data, true);
  }

  append(type: string, data: string, inRun = false): void {
    const { seq, head } = this;
    const run = this.#run;
    const place = inRun ? `"rprev":"${run.last}","rseq":${run.records},"run":"${run.id}",` : '';
    const ts = new Date(this.#began + seq).toISOString();
    const line = `{"actor":{"auth":"self","kind":"daemon"},"boot":"b1","data":${data},"mono":${seq * 1000 + (seq % 997)},"outcome":"ok","prev":"${head}","req":"q-0123456789abcdef",${place}"seq":${seq},"sev":"info","stage":"note","ts":"${ts}","type":"${type}","v":1}`;
    this.head = hash('sha256', `\0${line}`);
    this.#tree.add(this.head);
    if (inRun) {
      run.records += 1;
      run.last = this.head;
    }
    this.seq += 1;
    this.#bytes += line.length + 1;
    this.#pending.push(line, '\n');
    if (this.#pending.length > 4_000) this.#flush();
  }

  finish(): void {
    while (this.#run.records > 0) this.appendNext();
    this.#flush();
    closeSync(this.#file);
  }

  #rotate(): void {
    const records = this.seq - this.#first + 1;
    const data = `{"bytes":${this.#bytes},"first_seq":${this.#first},"records":${records}}`;
    this.append('log.segment.closed', data);
    this.#flush();
    closeSync(this.#file);
    this.#first = this.seq;
    this.#bytes = 0;
    this.#open();
    const opened = `{"first_seq":${this.seq},"previous":"${this.head}","previous_size":${this.seq}}`;
    this.append('log.segment.opened', opened);
  }

  #open(): void {
    this.#file = openSync(join(this.#folder, `${String(this.seq).padStart(16, '0')}.jsonl`), 'w');
  }

  #flush(): void {
    writeSync(this.#file, this.#pending.join(''));
    this.#pending = [];
  }
}

// Last, since a class is not there before its line.
if (values.verify === undefined) await measure(Number(values.records));
else await verifyAndPrint(values.verify, values.key ?? '');
