import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { PolicyDocument } from '#contract/policy.ts';
import type { Command } from '../context.ts';
import { readTextFile } from '../read-text.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';
import { parseYaml } from '../yaml-document.ts';

export const policyShow: Command = async ({ print, client }, [name]) => {
  const daemon = await client();
  if (name === undefined) {
    const list = await daemon.call('policyList');
    if (print.json) print.object(list);
    else {
      const rows = list.items.map((each) => [
        each.name,
        each.ceiling ? 'ceiling' : '',
        each.digest,
        each.source,
      ]);
      for (const line of table([['NAME', '', 'DIGEST', 'SOURCE'], ...rows])) print.line(line);
    }
    return 0;
  }
  const policy = await daemon.call('policyShow', { params: { name } });
  if (print.json) {
    print.object(policy);
    return 0;
  }
  print.line(`# ${safe(policy.name)} ${policy.digest}`);
  print.line(`# from ${safe(policy.source)}`);
  for (const text of policy.narrowed) print.line(`# narrowed: ${safe(text)}`);
  for (const line of policy.text.trimEnd().split('\n')) print.line(safe(line));
  return 0;
};

/** Checks the form of a policy file here, without a daemon. */
export const policyCheck: Command = async ({ print, cwd }, [file = '']) => {
  let text: string;
  try {
    text = await readTextFile(path.resolve(cwd, file), {
      bytesMax: 256 * 1024,
      code: 'policy.invalid',
      shown: file,
    });
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    throw new OrchestraError('policy.invalid', `The policy ${file} cannot be read`, { cause });
  }
  const policy = parseYaml(text, { file, schema: PolicyDocument, code: 'policy.invalid' });
  if (print.json) print.object({ ok: true, name: policy.name });
  else print.line(`${print.out.green('✔')} ${safe(file)}: policy ${policy.name} is well formed`);
  return Promise.resolve(0);
};
