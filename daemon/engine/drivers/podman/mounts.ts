import { byTarget, overlayName } from '../../asked.ts';
import type { EffectiveSettings } from '../../engine.ts';
import type { Inspected, OciMount } from './oci.ts';

type EffectiveMount = EffectiveSettings['mounts'][number];

/**
 * What is mounted, without what belongs to every container of Podman. Only what is exactly as known
 * is left out; everything else counts as a mount and so differs from what was asked for.
 */
export function mountsOf(mounts: readonly OciMount[], found: Inspected): EffectiveMount[] {
  return mounts
    .filter((mount) => !isUsual(mount, found))
    .map(effectiveMount)
    .toSorted(byTarget);
}

export const initTarget = '/run/podman-init';

/** Of each the type, and words that must be among its options. */
const usual: Readonly<Record<string, { type: string; options: readonly string[] }>> = {
  '/proc': { type: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  '/sys': { type: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  '/sys/fs/cgroup': { type: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  '/dev': { type: 'tmpfs', options: ['nosuid', 'noexec'] },
  '/dev/pts': { type: 'devpts', options: ['nosuid', 'noexec', 'newinstance'] },
  '/dev/mqueue': { type: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  [initTarget]: { type: 'bind', options: ['bind', 'ro'] },
};

/** Small files of the container itself: bound from a directory of its own that Podman made. */
const ownFiles: Readonly<Record<string, { file: string; options: readonly string[] }>> = {
  '/dev/shm': { file: 'shm', options: ['bind', 'nosuid', 'noexec', 'nodev'] },
  '/run/.containerenv': { file: '.containerenv', options: ['bind', 'ro'] },
  '/etc/hostname': { file: 'hostname', options: ['bind', 'ro'] },
};

function isUsual(mount: OciMount, found: Inspected): boolean {
  const { destination, type, source, options } = mount;
  const has = (words: readonly string[]) => words.every((word) => options.includes(word));
  const kernels = Object.hasOwn(usual, destination) ? usual[destination] : undefined;
  if (kernels !== undefined) return type === kernels.type && has(kernels.options);
  const own = Object.hasOwn(ownFiles, destination) ? ownFiles[destination] : undefined;
  return (
    own !== undefined &&
    type === 'bind' &&
    source.endsWith(`/${found.Id}/userdata/${own.file}`) &&
    has(own.options)
  );
}

function effectiveMount({ destination, type, source, options }: OciMount): EffectiveMount {
  const words = new Set(options);
  const plain = options.filter((word) => word !== 'rprivate').join(',');
  const common = { target: destination, source: '', readonly: words.has('ro') };
  switch (type) {
    case 'bind':
      return {
        ...common,
        kind: 'bind',
        source,
        // Any other word, such as `rbind` or `shared`, is shown and so differs.
        options: propagationOf(words) ?? options.join(','),
      };
    case 'overlay':
      return {
        ...common,
        kind: 'overlay',
        source: /(?:^|,)upperdir=([^,]*)/.exec(plain)?.[1] ?? '',
        options: overlayName(plain),
      };
    case 'tmpfs':
      return { ...common, kind: 'tmpfs', options: plain.slice(0, 256) };
    default:
      return { ...common, kind: type.slice(0, 64), source, options: plain.slice(0, 256) };
  }
}

function propagationOf(words: ReadonlySet<string>): string | undefined {
  // Podman adds the `noexec` of the file system that the source lies on; less is never allowed by it.
  const others = words.difference(new Set(['noexec']));
  return ['rprivate', 'rslave'].find((word) =>
    isSame(others, ['ro', 'bind', 'nosuid', 'nodev', word]),
  );
}

function isSame(words: ReadonlySet<string>, wanted: readonly string[]): boolean {
  return words.size === wanted.length && wanted.every((word) => words.has(word));
}
