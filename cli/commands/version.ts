import type { Command } from '../context.ts';
import { productVersion } from '../version.ts';

/** The long way to the version, for when other flags stand beside it. */
export const version: Command = async ({ print }) => {
  const facts = { product: 'orchestra', version: productVersion(), node: process.version };
  if (print.json) print.object(facts);
  else print.line(`orchestra ${facts.version} (node ${facts.node})`);
  return Promise.resolve(0);
};
