import { OrchestraError } from '#contract/errors.ts';
import { Client } from '../client/client.ts';
import { dropToken, keepToken, readTrust, tokenIn } from '../client/credentials.ts';
import { chooseHost, parseHost } from '../client/host.ts';
import type { NetworkAddress } from '../client/address.ts';
import type { Command, Context } from '../context.ts';
import { askSecret } from '../terminal/ask-secret.ts';
import { canAsk } from '../terminal/ask.ts';

const tokenBytesMax = 4096;

/** Keeps a token for a daemon, once that daemon has taken it. It comes from stdin or a hidden line. */
export const login: Command = async (context, [given]) => {
  const { print, env } = context;
  const address = networkOf(context, given);
  const text = canAsk(context)
    ? await askSecret(context, `Token for ${address.url}: `)
    : await readAll(context);
  const token = tokenIn(text, 'standard input');
  const client = new Client({ ...address, trust: await readTrust(env), token });
  try {
    const { version } = await client.call('version');
    const file = await keepToken(address.url, token, env);
    if (print.json) print.object({ host: address.url, version, file });
    else print.line(`logged in to ${address.url}, orchestrad ${version}`);
    return 0;
  } finally {
    client.close();
  }
};

export const logout: Command = async (context, [given]) => {
  const { print, env } = context;
  const address = networkOf(context, given);
  const was = await dropToken(address.url, env);
  if (print.json) print.object({ host: address.url, dropped: was });
  else print.line(was ? `logged out of ${address.url}` : `there was no login to ${address.url}`);
  if (was) print.note('the token itself is good until it is revoked: orchestra token revoke ID');
  return 0;
};

async function readAll({ io }: Context): Promise<string> {
  let text = '';
  for await (const part of io.stdin) {
    text += String(part);
    if (text.length > tokenBytesMax) break;
  }
  return text;
}

function networkOf({ globals, env }: Context, given: string | undefined): NetworkAddress {
  const address =
    given === undefined ? chooseHost(globals.host, env).address : parseHost(given, 'HOST');
  if (address.kind === 'network') return address;
  throw new OrchestraError('usage.invalid', 'On a socket the kernel says who you are', {
    hint: 'name a daemon of the network: orchestra login https://host:port',
  });
}
