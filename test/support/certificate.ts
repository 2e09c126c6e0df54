import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate for 127.0.0.1 and localhost that signs itself, and its key, as files. */
export function makeCertificate(
  dir: string,
  name = 'tls',
  { days = 2, names = 'DNS:localhost,IP:127.0.0.1' }: { days?: number; names?: string } = {},
): { cert: string; key: string } {
  const [cert, key] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const said = ['-subj', '/CN=localhost', '-addext', `subjectAltName=${names}`];
  const files = ['-keyout', key, '-out', cert, '-days', String(days)];
  execFileSync('openssl', ['req', '-x509', ...made, ...said, ...files], { stdio: 'ignore' });
  chmodSync(key, 0o600);
  return { cert, key };
}
