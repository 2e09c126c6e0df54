import { parseArgs } from 'node:util';
import { printVerdict } from './print.ts';
import type { Head } from './verdict.ts';
import { verifyLog } from './verify.ts';

const usage = `usage: node verifier/main.ts PATH [--json] [--expect SIZE:HASH]

PATH is a log's folder, a folder of segments or one segment. Exit codes: 0 verified, 1 tampering or
inconsistency, 2 could not check, 3 sound but incomplete.
`;

async function main(argv: string[]): Promise<number> {
  let parsed;
  try {
    parsed = parseArgs({
      args: argv,
      allowPositionals: true,
      options: { json: { type: 'boolean' }, expect: { type: 'string' }, help: { type: 'boolean' } },
    });
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${usage}`);
    return 2;
  }
  const { values, positionals } = parsed;
  if (values.help === true) {
    process.stdout.write(usage);
    return 0;
  }
  const [path] = positionals;
  const expectedHead = values.expect === undefined ? undefined : parseHead(values.expect);
  if (path === undefined || positionals.length > 1 || expectedHead === null) {
    process.stderr.write(usage);
    return 2;
  }
  const verdict = await verifyLog(path, { expectedHead });
  process.stdout.write(
    values.json === true ? `${JSON.stringify(verdict, null, 2)}\n` : printVerdict(verdict),
  );
  return verdict.exit;
}

function parseHead(text: string): Head | null {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
  return match === null ? null : { size: Number(match[1]), hash: match[2] ?? '' };
}

process.exitCode = await main(process.argv.slice(2));
