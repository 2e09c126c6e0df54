import type { Digest } from '#contract/ids.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor } from '#contract/records.ts';
import {
  AdvertisedTool,
  type GrownTool,
  type ToolLists,
  type ToolsAnswer,
} from '#contract/tools.ts';
import { z } from 'zod';
import type { BlobStore } from '../../artifacts/blobs.ts';
import { canonicalJson } from '../../base/canonical.ts';
import type { Clock } from '../../base/clock.ts';
import { cutText } from '../../base/text.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import type { SandboxSpec } from '../../policy/spec.ts';
import { findProgram } from '../../tools/advertised/find-program.ts';
import { programsMax } from '../../tools/advertised/probe-script.ts';
import type { ResolvedImage } from '../images.ts';
import type { Advertisements } from './advertisements.ts';
import type { AllowedTools } from './allowed.ts';
import { probeImage, tryPrograms, type ProbeDeps } from './probe.ts';

export type ToolsDeps = Omit<ProbeDeps, 'log'> & {
  log: ProbeDeps['log'];
  blobs: BlobStore;
  clock: Pick<Clock, 'mono'>;
  allowed: AllowedTools;
  advertisements: Advertisements;
  /**
   * Under which images are measured: what somebody asks for in a policy of his own must not keep
   * others from their lists.
   */
  ceiling: () => EffectivePolicy;
};

const listBytesMax = 4 * 1024 * 1024;
/** An image that could not be measured is not tried again before. In microseconds, as `mono` is. */
const againAfterUs = 60_000_000;

const List = z.strictObject({
  v: z.literal(1),
  image: z.string(),
  tools: z.array(AdvertisedTool).max(programsMax),
});

/** Whether a task may start its program without anybody being asked. */
export type ProgramStanding =
  | { is: 'allowed'; tool: AdvertisedTool }
  /** Whoever grants it puts `tool` on the list of the user. */
  | { is: 'asked'; tool: AdvertisedTool }
  /** Nothing of the image that anybody knows: it can be granted for once, and goes on no list. */
  | { is: 'unlisted' };

/** Asks for them, or has a condition that looks at whether somebody may have them. */
function looksAtTools(policy: Pick<EffectivePolicy, 'documents'>): boolean {
  if (asksForTools(policy)) return true;
  return policy.documents.some(({ rules = [] }) =>
    rules.some(({ when }) => when.includes('tool_allowed')),
  );
}

export function asksForTools({ documents }: Pick<EffectivePolicy, 'documents'>): boolean {
  return documents.some(({ toolsGrowth }) => toolsGrowth === 'ask');
}

/** What images have in their PATH, and which of it each user may have in a task unasked. */
export class Tools {
  readonly #deps: ToolsDeps;
  readonly allowed: AllowedTools;
  readonly advertisements: Advertisements;
  /** One an image; what failed stays for a while. */
  readonly #probes = new Map<Digest, { at: number; list: Promise<readonly AdvertisedTool[]> }>();
  readonly #known = new Map<Digest, readonly AdvertisedTool[]>();
  /** Which of them started when they were tried, by image and path. */
  readonly #tried = new Map<Digest, Map<string, boolean>>();
  readonly #ending = new AbortController();

  constructor(deps: ToolsDeps) {
    this.#deps = deps;
    this.allowed = deps.allowed;
    this.advertisements = deps.advertisements;
  }

  /**
   * The programs of an image. They are measured once an image: the first caller waits for a sandbox,
   * everybody else has the list. Rejects where they cannot be measured.
   */
  async advertised(image: ResolvedImage): Promise<readonly AdvertisedTool[]> {
    const known = this.#known.get(image.id);
    if (known !== undefined) return known;
    const now = this.#deps.clock.mono();
    const before = this.#probes.get(image.id);
    if (before !== undefined && now - before.at < againAfterUs) return before.list;
    const list = this.#find(image).then((found) => {
      this.#known.set(image.id, found);
      this.#probes.delete(image.id);
      return found;
    });
    // Whoever asks learns of it.
    list.catch(() => {});
    this.#probes.set(image.id, { at: now, list });
    return list;
  }

  /**
   * Call before tasks are judged: where the policy asks for programs, those of the image are known
   * then. Where they cannot be, which is on record, all of them are asked for.
   */
  async prepare(image: ResolvedImage, policy: EffectivePolicy): Promise<void> {
    if (!looksAtTools(policy)) return;
    await this.advertised(image).catch(() => undefined);
  }

  /** The word for conditions and for `tools_growth`: nobody has to be asked for the program. */
  isAllowed(uid: number | undefined, { image, command }: Pick<SandboxSpec, 'image' | 'command'>) {
    return this.standing({ uid, image: image.id, command }).is === 'allowed';
  }

  /** How a command stands on the list of a user. Without a list of the image nothing stands there. */
  standing({
    uid,
    image,
    command,
  }: {
    uid: number | undefined;
    image: Digest;
    command: readonly string[];
  }): ProgramStanding {
    const tool = findProgram(command, this.#known.get(image) ?? []);
    if (tool === undefined) return { is: 'unlisted' };
    return {
      is: this.allowed.standing(uid, image, tool) === 'allowed' ? 'allowed' : 'asked',
      tool,
    };
  }

  /**
   * Which programs of an image start in it at all, by path. Each is tried once, with `--version`, in a
   * sandbox without a workspace; one that is not in the answer was not tried to its end.
   */
  async tryOut(
    image: ResolvedImage,
    tools: readonly Pick<AdvertisedTool, 'path'>[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, boolean>> {
    const known = this.#tried.get(image.id) ?? new Map<string, boolean>();
    const paths = [...new Set(tools.map(({ path }) => path))].filter((path) => !known.has(path));
    if (paths.length === 0) return known;
    const found = await tryPrograms(this.#deps, {
      image,
      policy: this.#deps.ceiling(),
      signal: AbortSignal.any([signal, this.#ending.signal]),
      paths,
    });
    const all = new Map([...(this.#tried.get(image.id) ?? known), ...found]);
    this.#tried.set(image.id, all);
    return all;
  }

  /** What a grant puts on the list; nothing where it is no program of the image, or nobody's list. */
  grownBy(
    uid: number | undefined,
    { image, command }: Pick<SandboxSpec, 'image' | 'command'>,
  ): GrownTool | undefined {
    const standing = this.standing({ uid, image: image.id, command });
    if (uid === undefined || standing.is !== 'asked') return undefined;
    const { path: _path, ...tool } = standing.tool;
    return { ...tool, image: image.id };
  }

  async view(
    uid: number | undefined,
    { image, growth }: { image: ResolvedImage; growth: boolean },
  ): Promise<ToolsAnswer> {
    const { allowed, advertisements } = this;
    const common = {
      ...(uid === undefined ? {} : { uid }),
      growth: growth ? ('ask' as const) : ('off' as const),
      image: { reference: image.reference, id: image.id },
    };
    try {
      const tools = await this.advertised(image);
      const { at = '', list, leftOut = 0, wrong = [] } = advertisements.get(image.id) ?? {};
      return {
        ...common,
        ...(list === undefined
          ? {}
          : { measured: { at, list, left_out: leftOut, wrong: [...wrong] } }),
        items: tools.map((tool) => ({ ...tool, standing: allowed.standing(uid, image.id, tool) })),
      };
    } catch (error) {
      if (!(error instanceof OrchestraError)) throw error;
      return { ...common, trouble: error.message, items: [] };
    }
  }

  /** The lists of one user, or of everybody. */
  lists(uid?: number): ToolLists {
    const { allowed } = this;
    const users = uid === undefined ? allowed.users() : [uid];
    return { lists: users.map((one) => ({ uid: one, tools: allowed.of(one) })) };
  }

  /** Throws `tool.unknown` where the list has nothing of that name. */
  async withdraw({ uid, name }: { uid: number; name: string }, actor: Actor): Promise<void> {
    if (!this.allowed.of(uid).some((tool) => tool.name === name)) {
      throw new OrchestraError('tool.unknown', `${name} is not on the list of user ${uid}`, {
        hint: 'orchestra tools export',
      });
    }
    const entry = { type: 'tool.withdrawn', sev: 'notice', data: { uid, name } } as const;
    await this.#deps.log.append({ ...entry, actor, obj: { tool: name } });
  }

  /** Ends what is being measured. */
  async close(): Promise<void> {
    this.#ending.abort(new OrchestraError('daemon.stopping', 'The daemon is stopping'));
    await Promise.allSettled([...this.#probes.values()].map(({ list }) => list));
  }

  async #find(image: ResolvedImage): Promise<readonly AdvertisedTool[]> {
    return (await this.#kept(image.id)) ?? (await this.#measure(image));
  }

  /** What is on record; undefined where its blob went, or is none. */
  async #kept(image: Digest): Promise<readonly AdvertisedTool[] | undefined> {
    const { blobs } = this.#deps;
    const before = this.advertisements.get(image);
    if (before === undefined || !(await blobs.has(before.list))) return undefined;
    const bytes = await blobs.read(before.list, { maxBytes: listBytesMax });
    const { image: of, tools } = List.parse(JSON.parse(bytes.toString('utf8')));
    return of === image ? tools : undefined;
  }

  async #measure(image: ResolvedImage): Promise<readonly AdvertisedTool[]> {
    const { log, blobs, ceiling } = this.#deps;
    const { reference, id } = image;
    const obj = { image: id };
    try {
      const signal = this.#ending.signal;
      const { tools, leftOut, wrong } = await probeImage(this.#deps, {
        image,
        policy: ceiling(),
        signal,
      });
      const bytes = Buffer.from(canonicalJson({ v: 1, image: id, tools }));
      const { digest: list } = await blobs.put(bytes, { maxBytes: listBytesMax });
      const data = { reference, image: id, tools: tools.length, left_out: leftOut, wrong };
      await log.append({
        type: 'tools.advertised',
        sev: wrong.length === 0 ? 'info' : 'warn',
        obj,
        data: { ...data, list },
      });
      return tools;
    } catch (error) {
      if (log.blocked || this.#ending.signal.aborted) throw error;
      const reason = error instanceof OrchestraError ? error.message : 'the measuring failed';
      await log.append({
        type: 'tools.advertised',
        outcome: 'failed',
        sev: 'warn',
        obj,
        data: {
          reference,
          image: id,
          tools: 0,
          left_out: 0,
          wrong: [],
          reason: cutText(reason, 512),
        },
      });
      throw error;
    }
  }
}
