import type { LogRecord } from '#contract/records.ts';
import type { Client } from '../client/client.ts';
import { productVersion } from '../version.ts';
import type { Played } from './field.ts';
import type { SelftestReport } from './report.ts';

type Facts = Pick<SelftestReport, 'product' | 'machine' | 'policy'>;

/** What was tested, in the words of the log where it has them: the daemon said so at its start. */
export async function factsOf(client: Client, sample: Played): Promise<Facts> {
  const version = await client.call('version');
  const { checks } = await client.call('doctor');
  const started = await newest(client, 'daemon.started');
  const made = await client.call('auditList', {
    query: { run: sample.run.id, type: 'sandbox.receipt', limit: 10 },
  });
  const runtimes = made.items.flatMap(({ record }) => runtimeOf(record));
  const said = (name: string): string => {
    const value = started?.data[name];
    return typeof value === 'string' ? value : 'unknown';
  };
  return {
    product: {
      cli: productVersion(),
      daemon: version.version,
      node_cli: process.version,
      node_daemon: version.node,
    },
    machine: {
      kernel: said('kernel'),
      engine: `${said('engine')} ${said('engine_version')}`,
      runtimes: [...new Set(runtimes)],
      image: sample.run.image ?? 'unknown',
      arch: process.arch,
      checks: checks.map(({ name, status, message }) => ({ name, status, message })),
    },
    policy: { name: sample.run.policy.name, digest: sample.run.policy.digest ?? 'unknown' },
  };
}

async function newest(client: Client, type: string): Promise<LogRecord | undefined> {
  const { items } = await client.call('auditList', { query: { type, last: 1 } });
  return items[0]?.record;
}

function runtimeOf({ data }: LogRecord): string[] {
  const { settings } = data as { settings?: { runtime?: unknown } };
  return typeof settings?.runtime === 'string' ? [settings.runtime] : [];
}
