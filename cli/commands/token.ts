import { open, rm, type FileHandle } from 'node:fs/promises';
import { Role, roles } from '#contract/access.ts';
import { OrchestraError } from '#contract/errors.ts';
import {
  Scope,
  TokenId,
  tokenAreas,
  type CreatedToken,
  type CreateToken,
  type TokenRow,
} from '#contract/tokens.ts';
import type { Command, Context, Options } from '../context.ts';
import { durationOption, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';
import { unwritable } from '../write-file.ts';

/** The token is said once, on stdout or in a file of one's own; everything about it on stderr. */
export const tokenCreate: Command = async (context, _args, options) => {
  const { print } = context;
  const body = {
    ...optional('for', textOption(options, 'for')),
    ...optional('roles', wordsOf(options, 'role', Role, roles)),
    ...optional('scopes', wordsOf(options, 'scope', Scope, usualWords)),
    ...optional('expiresMs', durationOption(options, 'expires')),
    ...optional('note', textOption(options, 'note')),
  };
  const out = textOption(options, 'out');
  // Before there is a token: one that cannot be written down would be lost and good.
  const file = out === undefined ? undefined : await openNew(out);
  const made = await makeInto(context, body, file).catch(async (error: unknown) => {
    if (out !== undefined) await rm(out, { force: true });
    throw error;
  });
  const { token, ...row } = made;
  if (print.json) {
    print.object(file === undefined ? made : row);
    return 0;
  }
  if (file === undefined) print.line(token);
  const { id, user, uid, roles: has, scopes, expires_at: until } = row;
  print.note(`${id} of ${safe(user ?? `uid:${uid}`)}: ${has.join(' ')}, ${scopes.join(' ')}`);
  print.note(`good until ${until}; it is not shown again`);
  print.note(`over the network: orchestra --host https://HOST:PORT login, or ORCHESTRA_TOKEN_FILE`);
  return 0;
};

export const tokenList: Command = async ({ print, client }) => {
  const daemon = await client();
  const { items } = await daemon.call('tokenList');
  if (print.json) {
    print.object({ items });
    return 0;
  }
  if (items.length === 0) print.note('none; orchestra token create');
  const head = ['ID', 'OWNER', 'STATE', 'ROLES', 'SCOPES', 'UNTIL', 'LAST USED', 'NOTE'];
  for (const line of table([head, ...items.map(cells)])) print.line(line);
  return 0;
};

export const tokenRevoke: Command = async ({ print, client }, [id = ''], options) => {
  if (!TokenId.safeParse(id).success) {
    // Whoever pastes the token itself must not find it in an error.
    throw new OrchestraError('usage.invalid', 'This is no id of a token', {
      hint: 'it begins with t-: orchestra token list',
    });
  }
  const daemon = await client();
  const body = { ...optional('reason', textOption(options, 'reason')) };
  const row = await daemon.call('tokenRevoke', { params: { id }, body });
  if (print.json) print.object(row);
  else print.line(`${row.id} is revoked; what was open with it has ended`);
  return 0;
};

function cells(row: TokenRow): string[] {
  return [
    row.id,
    safe(row.user ?? `uid:${row.uid}`),
    row.state,
    row.roles.join(' '),
    row.scopes.join(' '),
    row.expires_at.slice(0, 10),
    row.last_used_at?.slice(0, 16).replace('T', ' ') ?? '-',
    safe(row.note ?? ''),
  ];
}

const usualWords = ['all', ...tokenAreas.map((area) => `${area}:read`)];

/** `--role runner --role viewer` or `--role runner,viewer`. */
function wordsOf<T extends string>(
  options: Options,
  name: string,
  schema: { safeParse(word: string): { success: boolean; data?: T } },
  choices: readonly string[],
): T[] | undefined {
  const said = options[name];
  const texts = Array.isArray(said) ? said : typeof said === 'string' ? [said] : [];
  if (texts.length === 0) return undefined;
  const words = texts.flatMap((text) => text.split(',')).map((word) => word.trim());
  return words.map((word) => {
    const { data } = schema.safeParse(word);
    if (data !== undefined) return data;
    throw new OrchestraError('usage.invalid', `--${name} ${word.slice(0, 64)} is unknown`, {
      hint: `choose from ${choices.join(', ')}${name === 'scope' ? ', and the same with :write' : ''}`,
    });
  });
}

async function makeInto(
  { client }: Context,
  body: CreateToken,
  file: FileHandle | undefined,
): Promise<CreatedToken> {
  try {
    const made = await (await client()).call('tokenCreate', { body });
    await file?.writeFile(`${made.token}\n`);
    return made;
  } finally {
    await file?.close();
  }
}

async function openNew(file: string) {
  try {
    return await open(file, 'wx', 0o600);
  } catch (cause) {
    throw unwritable(file, cause, 'choose a file that is not there yet');
  }
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}
