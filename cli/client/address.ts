import type { AgentOptions } from 'node:https';

/** Where a daemon is spoken to: on its socket, or over the network. */
export type Address = SocketAddress | NetworkAddress;

export type SocketAddress = { kind: 'socket'; path: string };

export type NetworkAddress = {
  kind: 'network';
  /** Such as `https://ci.example.com:7457`; what it is called everywhere. */
  url: string;
  host: string;
  port: number;
  tls: boolean;
  /** Shown with every request. */
  token?: string | undefined;
  /** What the daemon's certificate is checked with, and what is shown to it. */
  trust?: Pick<AgentOptions, 'ca' | 'cert' | 'key'>;
};

/** As the user would write it. */
export function spellAddress(address: Address): string {
  return address.kind === 'socket' ? `unix://${address.path}` : address.url;
}

/** Under what the CLI remembers a daemon. */
export function addressKey(address: Address): string {
  return address.kind === 'socket' ? address.path : address.url;
}
