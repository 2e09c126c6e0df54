import type { AdvertisedTool } from '#contract/tools.ts';
import { cutText } from '../../base/text.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import type { DraftInput } from '../plan-file.ts';
import type { Profile } from '../profile.ts';
import { readPackage } from '../rules/manifest.ts';
import type { Survey } from './survey.ts';

export type ContextFacts = {
  profile: Profile;
  survey: Survey;
  policy: EffectivePolicy;
  image: { reference: string };
  imageTools: readonly string[];
  /** All that was measured of the image; otherwise the ones worth telling are told. */
  programs?: readonly Pick<AdvertisedTool, 'name' | 'version'>[] | undefined;
  /** What the rules would do, where they know. */
  baseline: DraftInput | undefined;
};

/**
 * Everything that a provider is told of a workspace: names, scripts' names with the programs they
 * begin with, counts and sizes. No body of any file, no output, no path of this machine, no secret,
 * not even its name. Bounded, and the same for the same workspace and policy: its digest stands in
 * the log for what left the machine.
 */
export type ModelContext = {
  workspace: Record<string, unknown>;
  allowed: Record<string, unknown>;
  rules_plan: unknown;
};

const bytesMax = 24 * 1024;

export function modelContext(facts: ContextFacts): ModelContext {
  // From generous to tight, until it fits; each step is a fixed one, so the outcome is too.
  for (const scale of [1, 0.5, 0.25, 0.1, 0.02]) {
    const context = contextAt(facts, scale);
    if (quotedJson(context).length <= bytesMax) return context;
  }
  return { ...contextAt(facts, 0), rules_plan: null };
}

function contextAt(
  { profile, survey, policy, image, imageTools, baseline, ...facts }: ContextFacts,
  scale: number,
): ModelContext {
  const most = (max: number) => Math.ceil(max * scale);
  const manifest = packageAt(profile);
  const programs =
    facts.programs?.slice(0, most(500)).map(({ name: own, version }) => {
      return version === undefined ? own : `${own} ${version}`;
    }) ?? imageTools.filter((own) => worthTelling.has(own));
  return {
    workspace: {
      files: survey.files,
      bytes: survey.bytes,
      endings: survey.endings.slice(0, most(24)),
      folders: survey.folders.slice(0, most(40)).map((one) => ({ ...one, path: name(one.path) })),
      names: profile.names.slice(0, most(200)).map(name),
      more_names: Math.max(0, profile.names.length - most(200)),
      packages: profile.packages.slice(0, most(64)).map(name),
      markers: profile.markers.slice(0, most(64)).map(name),
      manifests: Object.keys(profile.texts).map(name),
      unread: Object.keys(profile.unread).map(name),
      ...(manifest === undefined
        ? {}
        : {
            package: {
              scripts: [...manifest.scripts]
                .slice(0, most(80))
                .map(([script, text]) => ({ name: name(script), programs: programsOf(text) })),
              dependencies: manifest.dependencies,
              workspaces: manifest.workspaces,
            },
          }),
      targets: makeTargets(profile, most(80)),
    },
    allowed: {
      tools: policy.tools,
      image: image.reference,
      programs,
      env: policy.env,
      registries: policy.provision.registries.length > 0,
      tasks_max: Math.min(200, policy.run.tasks),
      timeout_seconds: Math.floor(policy.limits.timeoutMs / 1000),
    },
    rules_plan: baseline === undefined ? null : draftWords(baseline),
  };
}

/** Of the image's programs, those that somebody would plan with. */
const worthTelling: ReadonlySet<string> = new Set(
  (
    'awk bash bun cargo cat clang cmake cp diff echo find gcc go gradle grep head java jq ln ls ' +
    'make mkdir mv mvn node npm npx perl pip pnpm poetry printf pytest python python3 rm ruby ' +
    'rustc sed sh sort tail tar test tox tr uv wc xargs yarn zip unzip gzip sha256sum touch'
  ).split(' '),
);

function packageAt(profile: Profile) {
  const text = profile.texts['package.json'];
  return text === undefined ? undefined : readPackage(text);
}

// `tsc -p . && node build.js` → tsc, node. What follows a program may be anything, and stays here.
function programsOf(script: string): string[] {
  const words = script
    .slice(0, 2000)
    .split(/&&|\|\||[;|\n]/)
    .map((part) => /^\s*(?:[A-Z_]+=\S*\s+)*([\w@.+-]{1,32})(?=\s|$)/.exec(part)?.[1])
    .filter((word) => word !== undefined);
  return [...new Set(words)].slice(0, 4);
}

function makeTargets(profile: Profile, max: number): string[] {
  const text = ['GNUmakefile', 'makefile', 'Makefile']
    .map((file) => profile.texts[file])
    .find((found) => found !== undefined);
  const found = new Set<string>();
  for (const [, target = ''] of (text ?? '').matchAll(/^([A-Za-z0-9][\w.-]{0,47})\s*::?(?!=)/gm)) {
    if (found.size >= max) break;
    found.add(target);
  }
  return [...found];
}

function draftWords({ assumptions, tasks }: DraftInput) {
  return {
    assumptions,
    tasks: tasks.slice(0, 50).map((task) => ({
      id: task.id,
      tool: task.tool,
      args: task.args.map(name),
      cwd: name(task.cwd),
      deps: task.deps,
      outputs: task.outputs,
      inputs: task.inputs ?? [],
    })),
  };
}

// Names are chosen by whoever made the workspace, and may be sentences.
function name(text: string): string {
  return cutText(text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u00b7'), 120);
}

/**
 * One line of ASCII in which nothing can end a quotation, open a tag or turn the text around: what
 * stands in it can only be read as data.
 */
export function quotedJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]|[<>&`]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
