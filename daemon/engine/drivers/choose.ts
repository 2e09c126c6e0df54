import type { Engine, HostFacts } from '../engine.ts';
import { assertLimitsKept } from '../limits-kept.ts';
import { dockerodeEngine } from './dockerode.ts';
import { podmanEngine } from './podman/engine.ts';

/**
 * The driver for whatever listens at `host`, asked for when the first verb is used and again until
 * something answers. An engine does not turn into another one while a daemon runs; where that
 * happens all the same, every sandbox is refused, because each driver reads back in its own words.
 */
export function chooseEngine(parts: { host: string; facts: HostFacts; dir: string }): Engine {
  const docker = dockerodeEngine(parts);
  let podman: Engine | undefined;
  let chosen: Engine | undefined;

  const choose = async (): Promise<Engine> => {
    if (chosen !== undefined) return chosen;
    const { kind } = await docker.facts();
    chosen ??= kind === 'podman' ? (podman = podmanEngine(parts)) : docker;
    return chosen;
  };

  return {
    facts: async () => assertLimitsKept(await (await choose()).facts()),
    findImage: async (reference) => (await choose()).findImage(reference),
    create: async (permit, context) => (await choose()).create(permit, context),
    attach: async (id) => (await choose()).attach(id),
    fill: async (id, permit, content, context) =>
      (await choose()).fill(id, permit, content, context),
    readBack: async (id, target) => (await choose()).readBack(id, target),
    start: async (id, context) => (await choose()).start(id, context),
    release: async (id, permit, context, given) =>
      (await choose()).release(id, permit, context, given),
    wait: async (id, signal) => (await choose()).wait(id, signal),
    usage: async (id) => (await choose()).usage(id),
    signal: async (id, name, context) => (await choose()).signal(id, name, context),
    freeze: async (id, context) => (await choose()).freeze(id, context),
    thaw: async (id, context) => (await choose()).thaw(id, context),
    adopt: async (id, permit, context) => (await choose()).adopt(id, permit, context),
    remove: async (id, context) => (await choose()).remove(id, context),
    list: async (labels) => (await choose()).list(labels),
    close() {
      docker.close();
      podman?.close();
    },
  };
}
