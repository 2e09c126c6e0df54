/** What a lockfile of npm says about what an installation looks at. */
export type Installs = {
  /** Packages whose own scripts run when they are installed, sorted. */
  scripts: string[];
  /** Something is installed from the workspace itself. */
  local: boolean;
};

const scriptsMax = 500;

/** `undefined` for what is not a lockfile of npm 7 or later: older ones do not tell. */
export function installsOf(bytes: Uint8Array): Installs | undefined {
  let lock: unknown;
  try {
    lock = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  const packages = isObject(lock) ? lock['packages'] : undefined;
  if (!isObject(packages)) return undefined;
  const scripts = new Set<string>();
  let local = false;
  for (const [path, entry] of Object.entries(packages)) {
    if (path === '') continue;
    if (!isObject(entry)) return undefined;
    const { resolved } = entry;
    // What lies outside node_modules is a part of the workspace.
    local ||= entry['link'] === true || !path.includes('node_modules/');
    local ||= typeof resolved === 'string' && resolved.startsWith('file:');
    if (entry['hasInstallScript'] === true) {
      scripts.add(path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length));
    }
    if (scripts.size > scriptsMax) return undefined;
  }
  return { scripts: [...scripts].map((name) => name.toWellFormed()).sort(), local };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
