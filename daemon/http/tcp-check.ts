import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Check } from '#contract/api.ts';
import type { ListenSettings } from './tcp-settings.ts';

const dayMs = 86_400_000;
const soonDays = 14;

/** Where the API listens beside its socket, and how long the certificates are good: for the doctor. */
export async function checkCertificates(
  listen: readonly ListenSettings[],
  now: number,
): Promise<Check[]> {
  return Promise.all(listen.map((each) => checkOf(each, now)));
}

async function checkOf({ address, tls }: ListenSettings, now: number): Promise<Check> {
  const name = 'tcp';
  if (tls === undefined) {
    return { name, status: 'ok', message: `${address}, without TLS, for this machine only` };
  }
  const remedy = `renew ${tls.cert}, then systemctl reload orchestrad`;
  try {
    const { validToDate } = new X509Certificate(await readFile(tls.cert));
    const until = validToDate.toISOString().slice(0, 10);
    const days = Math.floor((validToDate.getTime() - now) / dayMs);
    if (days < 0) {
      return { name, status: 'problem', message: `${address}: expired on ${until}`, remedy };
    }
    const message = `${address}, the certificate is good until ${until}`;
    return days < soonDays
      ? { name, status: 'warning', message, remedy }
      : { name, status: 'ok', message };
  } catch {
    return { name, status: 'problem', message: `${address}: ${tls.cert} cannot be read`, remedy };
  }
}
