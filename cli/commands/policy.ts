import path from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { policyBytesMax, PolicyDocument } from '#contract/policy.ts';
import type { Client } from '../client/client.ts';
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
        each.on_disk === undefined || each.on_disk === 'same' ? '' : `${each.on_disk} on disk`,
        each.source,
      ]);
      for (const line of table([['NAME', '', 'DIGEST', '', 'SOURCE'], ...rows])) print.line(line);
      for (const file of list.unread ?? []) print.line(`not loaded: ${safe(file)}`);
      if (list.refused !== undefined)
        print.line(`the last reload was refused: ${safe(list.refused)}`);
      if (rows.some(([, , , on]) => on !== '') || (list.unread ?? []).length > 0) {
        print.line('Next  orchestra policy reload');
      }
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

/**
 * Checks the form of a policy file here, and what stands in its conditions at the daemon. Without one
 * it says that half of it was not looked at.
 */
export const policyCheck: Command = async ({ print, cwd, client }, [file = '']) => {
  let text: string;
  try {
    text = await readTextFile(path.resolve(cwd, file), {
      bytesMax: policyBytesMax,
      code: 'policy.invalid',
      shown: file,
    });
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    throw new OrchestraError('policy.invalid', `The policy ${file} cannot be read`, { cause });
  }
  const policy = parseYaml(text, { file, schema: PolicyDocument, code: 'policy.invalid' });
  const { rules = [], profiles = {} } = policy;
  const hasConditions = rules.length + Object.keys(profiles).length > 0;
  const checked = await check(client, { text, file: path.basename(file) }, file);
  if (checked === undefined && hasConditions) {
    throw new OrchestraError(
      'daemon.unreachable',
      `${file} is well formed; its conditions were not checked, because no daemon answers`,
      { hint: 'start one, or: orchestra --local policy check FILE' },
    );
  }
  if (print.json) {
    print.object({ ok: true, name: policy.name, ...checked });
    return 0;
  }
  print.line(`${print.out.green('✔')} ${safe(file)}: policy ${policy.name} is well formed`);
  if (checked !== undefined) {
    const what = `${checked.rules} rules, ${checked.profiles} profiles; ${checked.digest}`;
    print.line(`  ${what}`);
    for (const line of checked.narrowed) print.line(`  narrowed: ${safe(line)}`);
  }
  return 0;
};

/** By the daemon; undefined where none answers. Places name the file as it was given here. */
async function check(
  client: () => Promise<Client>,
  body: { text: string; file: string },
  file: string,
) {
  try {
    return await (await client()).call('policyCheck', { body });
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    if (error.code === 'daemon.unreachable') return undefined;
    if (error.code !== 'policy.invalid') throw error;
    throw new OrchestraError(error.code, error.message, {
      places: error.places.map((place) => ({ ...place, file })),
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
}

export const policyReload: Command = async ({ print, client }) => {
  const answer = await (await client()).call('policyReload');
  if (print.json) {
    print.object(answer);
    return 0;
  }
  const { loaded, changed } = answer;
  if (changed.length === 0) print.line(`${loaded} policies read again, none changed`);
  for (const { name, digest, changes } of changed) {
    print.line(`${safe(name)} ${digest ?? ''}`.trimEnd());
    for (const line of changes) print.line(`  ${safe(line)}`);
  }
  return 0;
};

/** For editors: `# yaml-language-server: $schema=policy.schema.json` at the top of a policy. */
export const policySchema: Command = async ({ print }) => {
  print.object(z.toJSONSchema(PolicyDocument, { io: 'input', unrepresentable: 'any' }));
  return Promise.resolve(0);
};
