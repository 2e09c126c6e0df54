import { createHash, verify } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { bundleFiles, bundleLimits, BundleManifest, bundleSeal } from '#contract/bundle.ts';
import { Sbom } from '#contract/sbom.ts';
import { debFiles } from '#setup/deb-files.ts';
import { readImageArchive } from '#setup/image/read-archive.ts';
import { trustedKey, type Trusted } from '../provenance/check.ts';
import { shown } from './open.ts';

export type BundleVerdict = {
  /** `incomplete`: nothing in it is wrong, and whose it is was not, or could not be, told. */
  verdict: 'verified' | 'incomplete' | 'broken';
  problems: string[];
  /** What was not looked at, and why. */
  unchecked: string[];
  version?: string;
  image?: string;
  /** The fingerprint of the key that signed it; said only where it did. */
  signedBy?: string;
  files?: { bundle: number; package: number };
};

const sumsBytesMax = 64 * 1024;

/** Looks at everything, so that the reader gets every reason at once. */
export async function verifyBundle(
  files: ReadonlyMap<string, string>,
  trusted: Trusted | undefined,
): Promise<BundleVerdict> {
  const problems: string[] = [];
  const unchecked: string[] = [];
  const verdict = (more: Partial<BundleVerdict> = {}): BundleVerdict => ({
    verdict: problems.length > 0 ? 'broken' : unchecked.length > 0 ? 'incomplete' : 'verified',
    problems,
    unchecked,
    ...more,
  });
  const sumsFile = files.get(bundleSeal.sums);
  if (sumsFile === undefined) {
    problems.push(`${bundleSeal.sums} is missing`);
    return verdict();
  }
  const text = await readSmall(sumsFile, sumsBytesMax);
  const signature = await checkSignature(files, text, trusted);
  if ('problem' in signature) problems.push(signature.problem);
  if (signature.unchecked !== undefined) unchecked.push(signature.unchecked);
  const sums = parseSums(text?.toString('utf8') ?? '');
  if (typeof sums === 'string') {
    problems.push(sums);
    return verdict();
  }
  problems.push(...(await compareSums(files, sums)));
  // What is not even what the list names is not opened by anything that reads more of it.
  if (problems.length > 0) return verdict();
  const inner = await checkInside(files);
  problems.push(...inner.problems);
  unchecked.push(...inner.unchecked);
  return verdict({
    ...inner.facts,
    ...('signedBy' in signature ? { signedBy: signature.signedBy } : {}),
  });
}

type SignatureCheck =
  | { problem: string; unchecked?: never }
  | { signedBy: string; unchecked?: string }
  | { unchecked: string };

async function checkSignature(
  files: ReadonlyMap<string, string>,
  sums: Buffer | undefined,
  trusted: Trusted | undefined,
): Promise<SignatureCheck> {
  const [sigFile, keyFile] = [files.get(bundleSeal.signature), files.get(bundleSeal.key)];
  if (sigFile === undefined) {
    return trusted === undefined && keyFile === undefined
      ? { unchecked: 'it is not signed: nothing says whose it is' }
      : { problem: 'it is not signed' };
  }
  const pem = keyFile === undefined ? undefined : await readSmall(keyFile, 4096);
  const own = pem === undefined ? undefined : trustedKey(pem.toString('utf8'));
  const fits = own?.fingerprint === trusted?.fingerprint;
  const key = trusted?.key ?? (trusted === undefined || fits ? own?.key : undefined);
  if (key === undefined) {
    return { problem: 'it was signed with another key than the one that you trust' };
  }
  const sig = await readSmall(sigFile, 64);
  if (sig?.length !== 64 || sums === undefined || !verify(null, sums, key, sig)) {
    return { problem: 'the signature of SHA256SUMS does not hold for that key' };
  }
  const signedBy = trusted?.fingerprint ?? own?.fingerprint ?? '';
  if (trusted !== undefined) return { signedBy };
  return {
    signedBy,
    unchecked:
      'it is signed with the key that lies in it, which proves nothing: give yours with --key',
  };
}

/** By name; or what is wrong with the list. */
function parseSums(text: string): Map<string, string> | string {
  const sums = new Map<string, string>();
  const wrong = `${bundleSeal.sums} is no list of checksums`;
  if (!text.endsWith('\n')) return wrong;
  for (const line of text.slice(0, -1).split('\n')) {
    const [, sum = '', name = ''] =
      /^([0-9a-f]{64}) {2}([A-Za-z0-9._+~-]{1,128})$/.exec(line) ?? [];
    if (sum === '') return wrong;
    if (sums.has(name)) return `${bundleSeal.sums} names ${shown(name)} twice`;
    sums.set(name, sum);
  }
  return sums;
}

async function compareSums(
  files: ReadonlyMap<string, string>,
  sums: ReadonlyMap<string, string>,
): Promise<string[]> {
  const problems: string[] = [];
  const seal = new Set<string>(Object.values(bundleSeal));
  for (const name of files.keys()) {
    if (!seal.has(name) && !sums.has(name)) problems.push(`${shown(name)} is not in the list`);
  }
  for (const [name, sum] of sums) {
    const file = files.get(name);
    if (file === undefined) problems.push(`${shown(name)} is missing`);
    else if ((await sha256Of(file)) !== sum) problems.push(`${shown(name)} is not what was made`);
  }
  return problems;
}

async function checkInside(files: ReadonlyMap<string, string>) {
  const problems: string[] = [];
  const unchecked: string[] = [];
  const manifest = await jsonOf(files.get(bundleFiles.manifest), BundleManifest);
  if (manifest === undefined) {
    problems.push(`${bundleFiles.manifest} is missing or says something else than it should`);
    return { problems, unchecked, facts: {} };
  }
  const { version, image } = manifest;
  const facts = { version, image: image.id };
  const archive = files.get(bundleFiles.image);
  if (archive === undefined) problems.push('it holds no image');
  else problems.push(...(await checkImage(archive, image)));
  const sbom = await jsonOf(files.get(bundleFiles.sbom), Sbom);
  const deb = files.get(manifest.package);
  if (sbom === undefined) problems.push(`${bundleFiles.sbom} is no list of components`);
  if (deb === undefined) problems.push(`${shown(manifest.package)} is missing`);
  if (sbom === undefined || deb === undefined) return { problems, unchecked, facts };
  const listed = sbom.components.find((each) => each['bom-ref'] === 'image')?.version;
  if (listed !== image.id) problems.push('the list of components names another image');
  try {
    const there = await debFiles(deb);
    problems.push(...compareWithSbom(there, sbom));
    return {
      problems,
      unchecked,
      facts: { ...facts, files: { bundle: files.size, package: there.size } },
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      unchecked.push('the files of the package were not compared: dpkg-deb is not here');
    } else problems.push(`the package cannot be read: ${wordsOf(error)}`);
    return { problems, unchecked, facts };
  }
}

async function checkImage(file: string, image: BundleManifest['image']): Promise<string[]> {
  try {
    const { id, tags } = await readImageArchive(file);
    if (id !== image.id)
      return [`the image is ${id}, not the one that ${bundleFiles.manifest} names`];
    return tags.length === 1 && tags[0] === image.tag ? [] : ['the image goes by another name'];
  } catch (error) {
    return [`the image cannot be read: ${wordsOf(error)}`];
  }
}

function compareWithSbom(there: ReadonlyMap<string, string>, sbom: Sbom): string[] {
  const problems: string[] = [];
  const listed = new Map<string, string | undefined>();
  for (const { name, hashes } of sbom.components.find((each) => each['bom-ref'] === 'package')
    ?.components ?? []) {
    if (listed.has(name)) problems.push(`the list of components names ${shown(name)} twice`);
    listed.set(name, hashes?.find(({ alg }) => alg === 'SHA-256')?.content);
  }
  const differing = [...there].filter(([name, sum]) => listed.get(name) !== sum);
  for (const [name] of differing) {
    problems.push(
      listed.has(name)
        ? `${shown(name)} of the package is not what is listed`
        : `${shown(name)} of the package is not listed`,
    );
  }
  for (const name of listed.keys()) {
    if (!there.has(name)) problems.push(`${shown(name)} is listed and not in the package`);
  }
  return problems.slice(0, 20);
}

function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 300);
}

async function jsonOf<T>(
  file: string | undefined,
  shape: { safeParse(value: unknown): { success: true; data: T } | { success: false } },
): Promise<T | undefined> {
  const bytes = file === undefined ? undefined : await readSmall(file, bundleLimits.smallBytes);
  try {
    const parsed = shape.safeParse(JSON.parse(bytes?.toString('utf8') ?? ''));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined where it is larger. */
async function readSmall(file: string, bytesMax: number): Promise<Buffer | undefined> {
  await using handle = await open(file, 'r');
  const { size } = await handle.stat();
  return size > bytesMax ? undefined : await handle.readFile();
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
