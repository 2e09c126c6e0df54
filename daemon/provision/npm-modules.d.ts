// What Orchestra uses of npm's own libraries that come without types.

declare module 'npm-registry-fetch' {
  type Auth = {
    token: string | null;
    auth: string | null;
    cert: string | null;
    key: string | null;
  };
  /** Credentials that npm would send to exactly this address, and to no other. */
  export function getAuth(uri: string, options: Readonly<Record<string, unknown>>): Auth;
}

declare module 'npm-install-checks' {
  export function checkPlatform(
    target: { os?: unknown; cpu?: unknown; libc?: unknown },
    force?: boolean,
    environment?: { os?: string; cpu?: string; libc?: string },
  ): void;
}

declare module '@npmcli/config' {
  export default class Config {
    constructor(options: {
      definitions: unknown;
      shorthands: unknown;
      flatten: unknown;
      npmPath: string;
      env: Record<string, string | undefined>;
      argv: string[];
      execPath: string;
      cwd: string;
      warn?: boolean;
    });
    load(): Promise<void>;
    readonly flat: Record<string, unknown>;
  }
}

declare module '@npmcli/config/lib/definitions/index.js' {
  const options: {
    definitions: Record<string, { default: unknown }>;
    shorthands: unknown;
    flatten: unknown;
  };
  export default options;
}
