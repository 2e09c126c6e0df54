import { actions, unknownWord, type Action, type Intent } from '../intent.ts';
import type { Profile } from '../profile.ts';
import { builtDirectories, readPackage, type PackageManifest } from './manifest.ts';
import { installInputs } from './npm-inputs.ts';
import { buildsItself, isPlaceholder, scriptFor, testNeeds } from './npm-scripts.ts';
import { task, type EcosystemRule, type Proposal } from './rule.ts';

const lockfiles = ['package-lock.json', 'npm-shrinkwrap.json'];
const others: Readonly<Record<string, string>> = {
  'pnpm-lock.yaml': 'pnpm',
  'pnpm-workspace.yaml': 'pnpm',
  'yarn.lock': 'yarn',
  'bun.lock': 'bun',
  'bun.lockb': 'bun',
  'rush.json': 'rush',
};

/** Scripts of a package.json, by npm, after `npm ci` from its lockfile. */
export const npm: EcosystemRule = (profile, intent) => {
  const found = findPackage(profile);
  if (found === undefined) return undefined;
  const proposal: Proposal = {
    ecosystem: 'npm',
    manifest: found.manifests[0] ?? 'package.json',
    tasks: [],
    assumptions: [],
    reasons: [],
  };
  if (found.manifests.length > 1) {
    const listed = found.manifests.slice(0, 10).join(', ');
    proposal.reasons.push(`there is no package.json at the top and several beneath it: ${listed}`);
    proposal.hint = 'name one of these directories as the workspace, or write a plan: --plan FILE';
    return proposal;
  }
  const path = proposal.manifest;
  const unread = profile.unread[path];
  const manifest = unread === undefined ? readPackage(profile.texts[path] ?? '') : undefined;
  if (manifest === undefined) {
    proposal.reasons.push(`${path} is ${unread ?? 'not a JSON object'}`);
    return proposal;
  }
  new NpmPlan(profile, intent, manifest, path.slice(0, -'package.json'.length), proposal).fill();
  return proposal;
};

// A package.json at the top decides; without one, and with nothing else that could, those beneath.
function findPackage(profile: Profile): { manifests: string[] } | undefined {
  if (profile.packages.includes('package.json')) return { manifests: ['package.json'] };
  const [first] = profile.packages;
  if (first === undefined) return undefined;
  const level = first.split('/').length;
  return { manifests: profile.packages.filter((path) => path.split('/').length === level) };
}

class NpmPlan {
  private readonly profile: Profile;
  private readonly intent: Intent;
  private readonly manifest: PackageManifest;
  private readonly folder: string;
  private readonly proposal: Proposal;

  constructor(
    profile: Profile,
    intent: Intent,
    manifest: PackageManifest,
    folder: string,
    proposal: Proposal,
  ) {
    this.profile = profile;
    this.intent = intent;
    this.manifest = manifest;
    this.folder = folder;
    this.proposal = proposal;
  }

  fill(): void {
    const chosen = this.chooseScripts();
    const named = this.chooseNamed();
    const built = builtDirectories(this.profile, this.folder, this.manifest);
    this.addBuildBefore('test', chosen, built);
    this.addBuildBefore('bench', chosen, built);
    this.addInstall();
    const root = this.proposal.tasks.map((one) => one.id);

    const clean = chosen.get('clean');
    if (clean !== undefined) root.splice(0, root.length, this.add('clean', clean, root));
    const build = chosen.get('build');
    const buildId = build === undefined ? undefined : this.add('build', build, root, built);
    const afterBuild = buildId === undefined ? root : [buildId];
    for (const action of actions) {
      const script = chosen.get(action);
      if (script === undefined || action === 'clean' || action === 'build') continue;
      this.add(action, script, this.waits(action, script, build, built) ? afterBuild : root);
    }
    for (const script of named) this.add(script, script, afterBuild);
  }

  private chooseScripts(): Map<Action, string> {
    const { scripts } = this.manifest;
    const { proposal, intent } = this;
    const chosen = new Map<Action, string>();
    const wanted = intent.all
      ? actions.filter((action) => !['clean', 'bench', 'docs'].includes(action))
      : intent.actions;
    for (const action of wanted) {
      const script = scriptFor(action, scripts);
      if (script !== undefined) chosen.set(action, script);
      else if (!intent.all) proposal.reasons.push(this.noScript(action));
    }
    if (intent.all && chosen.size === 0) {
      proposal.reasons.push(`${proposal.manifest} has none of the usual scripts`);
    }
    // Build and test together ask whether the project is sound; these two tell the same.
    if (chosen.has('build') && chosen.has('test') && !intent.all) {
      const more = (['lint', 'typecheck'] as const).filter((action) => {
        const script = chosen.has(action) ? undefined : scriptFor(action, scripts);
        if (script !== undefined) chosen.set(action, script);
        return script !== undefined;
      });
      if (more.length > 0) {
        const verb = more.length === 1 ? 'is a script too and runs' : 'are scripts too and run';
        proposal.assumptions.push(`${more.join(' and ')} ${verb} beside build and test.`);
      }
    }
    return chosen;
  }

  private noScript(action: Action): string {
    const { manifest } = this.proposal;
    if (action === 'test' && isPlaceholder(this.manifest.scripts.get('test'))) {
      return `the test script of ${manifest} is the one that npm init writes: it only fails`;
    }
    return `${manifest} has no script named ${action}`;
  }

  private chooseNamed(): string[] {
    const found: string[] = [];
    for (const word of this.intent.names) {
      // The intent is read in lower case; a script may not be written so.
      const script = [...this.manifest.scripts.keys()].find((name) => name.toLowerCase() === word);
      if (script === undefined) this.proposal.reasons.push(unknownWord(word));
      else found.push(script);
    }
    return found;
  }

  private addBuildBefore(
    action: 'test' | 'bench',
    chosen: Map<Action, string>,
    built: readonly string[],
  ): void {
    const script = chosen.get(action);
    const build = scriptFor('build', this.manifest.scripts);
    if (script === undefined || build === undefined || chosen.has('build')) return;
    const needs = testNeeds(this.manifest.scripts.get(script) ?? '', built);
    if (typeof needs !== 'object' || buildsItself(script, build, this.manifest.scripts)) return;
    chosen.set('build', build);
    this.say(`build runs first: the ${script} script names ${needs.built}/.`);
  }

  private addInstall(): void {
    const { proposal, manifest } = this;
    const lockfile = lockfiles.find((name) => this.has(name));
    const other = Object.keys(others).find((name) => this.has(name));
    if (lockfile === undefined) {
      if (other !== undefined) {
        proposal.reasons.push(
          `${this.folder}${other} belongs to ${others[other]}, and only npm's lockfiles can be provisioned`,
        );
      } else if (manifest.dependencies > 0 || manifest.workspaces) {
        proposal.reasons.push(`${proposal.manifest} has dependencies and no lockfile pins them`);
      } else {
        proposal.assumptions.push('Nothing is installed: there are no dependencies.');
        return;
      }
      proposal.hint ??= 'npm install --package-lock-only makes a package-lock.json';
      return;
    }
    if (other !== undefined) {
      proposal.assumptions.push(`${lockfile} is used, ${other} is not looked at.`);
    }
    // Of a folder beneath the top too little is known.
    const inputs = this.folder === '' ? installInputs(this.profile, manifest) : undefined;
    proposal.tasks.push(
      task({
        id: 'install',
        title: 'npm ci',
        why: `${this.folder}${lockfile} pins what the scripts need`,
        tool: 'npm',
        args: ['ci'],
        cwd: this.cwd,
        ...(inputs === undefined ? {} : { inputs }),
      }),
    );
  }

  // Whether a task has to wait for the build, with the reason told where it is not plain.
  private waits(
    action: Action,
    script: string,
    build: string | undefined,
    built: readonly string[],
  ): boolean {
    if (build === undefined) return false;
    if (action === 'bench') return true;
    if (this.manifest.workspaces && action !== 'format') {
      this.say('Workspaces use what others built, so lint, types and tests wait for build.');
      return true;
    }
    if (action !== 'test' || buildsItself(script, build, this.manifest.scripts)) return false;
    const needs = testNeeds(this.manifest.scripts.get(script) ?? '', built);
    if (needs === 'source') {
      this.say('test runs beside build: its runner starts from the sources.');
      return false;
    }
    this.say(
      needs === 'unknown'
        ? 'test waits for build: its script does not tell whether it needs what build makes.'
        : `test waits for build: its script names ${needs.built}/.`,
    );
    return true;
  }

  private add(
    wish: string,
    script: string,
    deps: readonly string[],
    built: readonly string[] = [],
  ): string {
    const ids = this.proposal.tasks.map((one) => one.id);
    const id = freeId(wish, ids);
    this.proposal.tasks.push(
      task({
        id,
        title: script === 'test' ? 'npm test' : `npm run ${printable(script)}`.slice(0, 120),
        why: `${this.proposal.manifest} has a script named ${printable(script)}`.slice(0, 300),
        tool: 'npm',
        args: script === 'test' ? ['test'] : ['run', script],
        cwd: this.cwd,
        deps: [...deps],
        outputs: built.map((name, i) => ({
          name: slug(name, `output-${i + 1}`),
          path: name,
          required: false,
        })),
      }),
    );
    return id;
  }

  private get cwd(): string {
    return this.folder === '' ? '.' : this.folder.slice(0, -1);
  }

  private has(name: string): boolean {
    const { names, markers } = this.profile;
    return this.folder === '' ? names.includes(name) : markers.includes(this.folder + name);
  }

  private say(assumption: string): void {
    if (!this.proposal.assumptions.includes(assumption)) this.proposal.assumptions.push(assumption);
  }
}

function freeId(wish: string, taken: readonly string[]): string {
  const id = slug(wish, 'script');
  if (!taken.includes(id)) return id;
  for (let i = 2; ; i += 1) if (!taken.includes(`${id}-${i}`)) return `${id}-${i}`;
}

function slug(text: string, otherwise: string): string {
  const parts =
    text
      .toLowerCase()
      .slice(0, 40)
      .match(/[a-z0-9]+/g)
      ?.join('-') ?? '';
  return /^[a-z]/.test(parts) ? parts : otherwise;
}

function printable(name: string): string {
  return name.toWellFormed().replace(/\p{Cc}/gu, '?');
}
