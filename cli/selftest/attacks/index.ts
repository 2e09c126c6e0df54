import type { Attack, Group } from '../attack.ts';
import { auditAttacks } from './audit.ts';
import { daemonAttacks } from './daemon.ts';
import { escapeAttacks } from './escape.ts';
import { fileAttacks } from './files.ts';
import { networkAttacks } from './network.ts';
import { resourceAttacks } from './resources.ts';

/** Every attack, by group; the audit comes last because it looks at what the others left. */
export const attacks: Readonly<Record<Group, readonly Attack[]>> = {
  files: fileAttacks,
  escape: escapeAttacks,
  network: networkAttacks,
  resources: resourceAttacks,
  daemon: daemonAttacks,
  audit: auditAttacks,
};
