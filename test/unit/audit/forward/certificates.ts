import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Certificate = { cert: Buffer; key: Buffer; certFile: string; keyFile: string };

/** A certificate for a name, signed by itself. */
export function certificateFor(dir: string, name: string): Certificate {
  const certFile = join(dir, `${name}.pem`);
  const keyFile = join(dir, `${name}.key`);
  const kind = /^[\d.]+$/.test(name) ? 'IP' : 'DNS';
  const made = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30'.split(
    ' ',
  );
  const files = ['-keyout', keyFile, '-out', certFile];
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${kind}:${name}`];
  execFileSync('openssl', [...made, ...files, ...names], { stdio: 'ignore' });
  return { cert: readFileSync(certFile), key: readFileSync(keyFile), certFile, keyFile };
}
