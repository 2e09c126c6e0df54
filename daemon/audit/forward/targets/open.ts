import { OrchestraError } from '#contract/errors.ts';
import { cefOverSyslog } from '../../export/cef.ts';
import type { Format } from '../../export/format.ts';
import { formats } from '../../export/formats.ts';
import { counted } from '../../export/syslog.ts';
import { parseAddress, type Address, type ForwardSettings } from '../settings.ts';
import type { Target } from '../target.ts';
import { DatagramTarget, openDatagramSockets } from './datagram.ts';
import { FileTarget } from './file.ts';
import { StreamTarget } from './stream.ts';
import { openUnacknowledged } from './unacknowledged.ts';
import { UnixTarget } from './unix.ts';
import { WebhookTarget } from './webhook.ts';

const timeoutMs = 30_000;
const settleMs = 2_000;

export type FormatName = NonNullable<ForwardSettings['format']>;

/** What is spoken where nobody said. */
export function formatOf({ to, format }: ForwardSettings): FormatName {
  if (format !== undefined) return format;
  const { kind } = parseAddress(to);
  return kind === 'unix' || kind === 'tcp' ? 'syslog' : 'jsonl';
}

export async function openTarget(
  settings: ForwardSettings,
  { origin, now }: { origin: string; now: () => number },
): Promise<{ target: Target; format: Format }> {
  const address = parseAddress(settings.to);
  const name = formatOf(settings);
  const isSocket = address.kind === 'unix' || address.kind === 'tcp';
  const format = name === 'cef' && isSocket ? cefOverSyslog : formats[name];
  const target = await targetOf(address, settings, { origin, now, name });
  return { target, format };
}

async function targetOf(
  address: Address,
  settings: ForwardSettings,
  { origin, now, name }: { origin: string; now: () => number; name: FormatName },
): Promise<Target> {
  const { ca, cert, key, timeout = timeoutMs } = settings;
  if (address.kind === 'file') return new FileTarget({ path: address.path, lineEnd: '\n' });
  if (address.kind === 'webhook') {
    const { secret_file: secretFile, token_file: tokenFile } = settings;
    const { contentType } = formats[name];
    const { url } = address;
    const tls = { ca, cert, key };
    return new WebhookTarget({
      url,
      contentType,
      origin,
      timeoutMs: timeout,
      now,
      tls,
      secretFile,
      tokenFile,
    });
  }
  const common = { timeoutMs: timeout, settleMs, now, unacknowledged: await openUnacknowledged() };
  const asLine = (text: string) => `${text}\n`;
  if (address.kind === 'tcp') {
    const { host, port } = address;
    const remote = { host, port, ...(address.tls ? { tls: { ca, cert, key } } : {}) };
    const isCounted = name === 'syslog' || name === 'cef';
    return new StreamTarget({ ...common, remote, frame: isCounted ? counted : asLine });
  }
  const { path } = address;
  return new UnixTarget({
    stream: () => new StreamTarget({ ...common, remote: { path }, frame: asLine }),
    datagram: async () =>
      new DatagramTarget({ path, sockets: await datagrams(path), timeoutMs: timeout }),
  });
}

function datagrams(path: string) {
  return openDatagramSockets().catch((cause: unknown) => {
    throw new OrchestraError('config.invalid', `${path} takes datagrams, which need koffi`, {
      cause,
    });
  });
}
