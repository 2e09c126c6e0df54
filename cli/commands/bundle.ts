import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { Command } from '../context.ts';
import { flagOption, textOption } from '../options.ts';
import { readTextFile } from '../read-text.ts';
import { safe } from '../terminal/clean.ts';

const keyBytesMax = 16 * 1024;
const words = { verified: 'OK', incomplete: 'SOUND BUT INCOMPLETE', broken: 'BROKEN' } as const;

/**
 * Checks a bundle before anything of it is installed; needs no daemon. Exit 0 where it is verified,
 * 0 with a warning where it holds together and nothing more is known (with `--strict` 4), 4 where
 * it is broken.
 */
export const bundleVerify: Command = async ({ print, cwd }, [named = ''], options) => {
  const { openBundle } = await import('../bundle/open.ts');
  const { verifyBundle } = await import('../bundle/verify.ts');
  const { trustedKey } = await import('../provenance/check.ts');
  const said = textOption(options, 'key');
  const key = said === undefined ? undefined : trustedKey(await keyText(said, cwd));
  if (said !== undefined && key === undefined) {
    throw new OrchestraError('usage.invalid', `${said} is no Ed25519 key and no fingerprint`, {
      hint: 'a file with a public key in PEM, or its sha256:…',
    });
  }
  await using bundle = await openBundle(path.resolve(cwd, named));
  const verdict = await verifyBundle(bundle.files, key);
  const isBroken =
    verdict.verdict === 'broken' ||
    (verdict.verdict === 'incomplete' && flagOption(options, 'strict'));
  const exit = isBroken ? exitCodes.violation : exitCodes.ok;
  if (print.json) {
    print.object({ ...verdict, exit_code: exit });
    return exit;
  }
  const style = isBroken ? 'red' : verdict.verdict === 'verified' ? 'green' : 'yellow';
  const what = verdict.version === undefined ? '' : `: Orchestra ${verdict.version}`;
  print.line(`${print.out[style](words[verdict.verdict])}${safe(what)}`);
  for (const problem of verdict.problems) print.line(`  ${safe(problem)}`);
  for (const gap of verdict.unchecked) print.line(`  ${safe(gap)}`);
  const { files, image, signedBy } = verdict;
  if (files !== undefined) {
    print.line(`  package   ${files.package} files, each as it is listed in the SBOM`);
  }
  if (image !== undefined && !isBroken) print.line(`  image     ${safe(image)}`);
  if (signedBy !== undefined && key !== undefined) print.line(`  signed by ${safe(signedBy)}`);
  return exit;
};

async function keyText(said: string, cwd: string): Promise<string> {
  if (said.startsWith('sha256:')) return said;
  try {
    return await readTextFile(path.resolve(cwd, said), {
      bytesMax: keyBytesMax,
      code: 'usage.invalid',
      shown: said,
    });
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    throw new OrchestraError('usage.invalid', `${said} cannot be read`, { cause });
  }
}
