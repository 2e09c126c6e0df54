#!/usr/bin/env -S node --max-semi-space-size=8
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { printVerdict } from './print.ts';
import type { Head } from './verdict.ts';
import { verifyPath } from './verify-path.ts';

const usage = `usage: orchestra-verify PATH [options]

PATH is a log's folder, a folder of segments, one segment, the extract of a run (folder or tar) or a
.tlog-proof. What vouches for it has to come from elsewhere:

  --key VKEY          a key of the log, of any of its epochs; repeatable
  --checkpoint FILE   a checkpoint of the log that was kept elsewhere; repeatable
  --policy FILE       witnesses and quorum (C2SP tlog-policy), and how much may be unwitnessed
  --expect SIZE:HASH  a head that was kept elsewhere
  --record FILE       with a .tlog-proof: the record's line
  --json              the verdict as JSON

Exit codes: 0 verified, 1 tampering or inconsistency, 2 could not check, 3 sound but incomplete.
`;

async function main(argv: string[]): Promise<number> {
  let parsed;
  try {
    parsed = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        expect: { type: 'string' },
        key: { type: 'string', multiple: true },
        checkpoint: { type: 'string', multiple: true },
        policy: { type: 'string' },
        record: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    return refuse((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help === true) {
    process.stdout.write(usage);
    return 0;
  }
  const [path] = positionals;
  const expectedHead = values.expect === undefined ? undefined : parseHead(values.expect);
  if (path === undefined || positionals.length > 1) return refuse('one PATH, please');
  if (expectedHead === null) return refuse('--expect is written SIZE:HASH');
  let files;
  try {
    const optional = async (name: string | undefined) =>
      name === undefined ? undefined : readFile(name);
    files = {
      checkpoints: await Promise.all((values.checkpoint ?? []).map((name) => readFile(name))),
      policy: await optional(values.policy),
      record: await optional(values.record),
    };
  } catch (error) {
    return refuse(`could not be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}`);
  }
  const verdict = await verifyPath(path, { expectedHead, keys: values.key, ...files });
  process.stdout.write(
    values.json === true ? `${JSON.stringify(verdict, null, 2)}\n` : printVerdict(verdict),
  );
  return verdict.exit;
}

function refuse(why: string): number {
  process.stderr.write(`${why}\n${usage}`);
  return 2;
}

function parseHead(text: string): Head | null {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
  return match === null ? null : { size: Number(match[1]), hash: match[2] ?? '' };
}

process.exitCode = await main(process.argv.slice(2));
