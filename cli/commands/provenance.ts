import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { buildTypes, type ProvenanceStatement } from '#contract/provenance.ts';
import type { Command, Context, Options } from '../context.ts';
import { textOption } from '../options.ts';
import { readTextFile } from '../read-text.ts';
import { safe } from '../terminal/clean.ts';
import { writeFileFresh } from '../write-file.ts';

const fileBytesMax = 256 * 1024 * 1024;
const keyBytesMax = 16 * 1024;

/** Signed provenance of a run or an artifact, and `verify`, which needs no daemon. */
export const provenance: Command = async (context, [first = '', second, third], options) => {
  if (first === 'verify') return verifyFile(context, second, third, options);
  if (first === 'key') return showKey(context, options);
  if (third !== undefined) {
    throw new OrchestraError('usage.invalid', 'A run and an artifact are all that can be named', {
      hint: 'orchestra provenance RUN ARTIFACT',
    });
  }
  const client = await context.client();
  const answer = await client.call('runProvenance', {
    params: { id: first },
    ...(second === undefined ? {} : { query: { artifact: second } }),
  });
  const lines = answer.envelopes.map((envelope) => `${JSON.stringify(envelope)}\n`).join('');
  const what = second === undefined ? `provenance of ${answer.run}` : `provenance of ${second}`;
  return write(context, options, { text: lines, json: answer, what });
};

async function showKey(context: Context, options: Options): Promise<number> {
  const client = await context.client();
  const answer = await client.call('provenanceKey');
  return write(context, options, { text: answer.pem, json: answer, what: answer.key });
}

async function write(
  { print, cwd }: Context,
  options: Options,
  { text, json, what }: { text: string; json: object; what: string },
): Promise<number> {
  const out = textOption(options, 'out');
  if (out !== undefined) await writeFileFresh(path.resolve(cwd, out), [Buffer.from(text)]);
  if (print.json) print.object(json);
  else if (out === undefined) await print.bytes(Buffer.from(text));
  else print.note(`${safe(what)} written to ${safe(out)}`);
  return 0;
}

/** Exit 0 where everything in the file is signed by that key, and names the artifact; else 4. */
async function verifyFile(
  { print, cwd }: Context,
  file: string | undefined,
  artifact: string | undefined,
  options: Options,
): Promise<number> {
  const said = textOption(options, 'key');
  if (file === undefined || said === undefined) {
    throw new OrchestraError('usage.invalid', 'A file and the key that it must be signed by', {
      hint: 'orchestra provenance verify FILE --key KEY.pem [ARTIFACT]; a key in the file proves nothing',
    });
  }
  const { broken, checkProvenance, trustedKey } = await import('../provenance/check.ts');
  const isFingerprint = said.startsWith('sha256:');
  const key = trustedKey(
    isFingerprint ? said : await readText(path.resolve(cwd, said), keyBytesMax),
  );
  if (key === undefined) {
    throw new OrchestraError('usage.invalid', `${said} is no Ed25519 key and no fingerprint`, {
      hint: 'orchestra provenance key -o KEY.pem, where the run was',
    });
  }
  const statements = checkProvenance(await readText(path.resolve(cwd, file), fileBytesMax), key);
  const named = artifact === undefined ? undefined : await digestOf(path.resolve(cwd, artifact));
  const isNamed = ({ subject }: ProvenanceStatement) =>
    named === undefined || subject.some(({ digest }) => digest.sha256 === named);
  const about = statements.filter(isNamed);
  if (about.length === 0) throw broken(`nothing in it is about ${artifact ?? ''} as it is`);
  if (print.json) {
    print.object({ verified: true, key: key.fingerprint, statements: about });
    return 0;
  }
  print.line(`${print.out.green('OK')}  ${statements.length} signed by ${key.fingerprint}`);
  for (const statement of about) tell(print, statement);
  return 0;
}

function tell(print: Context['print'], { subject, predicate }: ProvenanceStatement): void {
  const { buildDefinition, runDetails } = predicate;
  const { metadata, builder } = runDetails;
  const names = subject.slice(0, 8).map(({ name }) => name);
  const more = subject.length > names.length ? ` and ${subject.length - names.length} more` : '';
  const whole = buildDefinition.buildType === buildTypes.run ? 'of the whole run: ' : '';
  print.line(`  ${whole}${safe(names.join(', '))}${more}`);
  print.line(`    built in   ${safe(metadata.invocationId)} of ${safe(builder.id)}`);
  print.line(`    from       ${buildDefinition.resolvedDependencies.length} dependencies`);
  if (metadata.finishedOn !== undefined) {
    print.line(`    finished   ${safe(metadata.finishedOn)}`);
  }
}

async function digestOf(place: string): Promise<string> {
  const { artifactDigest } = await import('../provenance/artifact-digest.ts');
  return artifactDigest(place);
}

async function readText(file: string, bytesMax: number): Promise<string> {
  try {
    return await readTextFile(file, { bytesMax, code: 'usage.invalid' });
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    throw new OrchestraError('usage.invalid', `${file} cannot be read`, { cause });
  }
}
