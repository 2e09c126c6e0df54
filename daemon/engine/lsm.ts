import { open, readFile } from 'node:fs/promises';

export type LoadedModules = {
  /** Whether the kernel of this machine has an AppArmor profile of that name loaded. */
  hasProfile(name: string): Promise<boolean>;
  /** Whether the SELinux policy of this machine knows that type for a process of a container. */
  hasType(type: string): Promise<boolean>;
};

const places = {
  profiles: '/sys/kernel/security/apparmor/profiles',
  context: '/sys/fs/selinux/context',
};

/**
 * Asks the kernel itself. What cannot be asked (no such module, no permission) counts as not
 * there: naming a profile that is not loaded would keep every sandbox from starting.
 */
export function loadedModules({ profiles, context } = places): LoadedModules {
  return {
    async hasProfile(name) {
      const text = await readFile(profiles, 'utf8').catch(() => '');
      // One a line: "name (mode)". A profile that only complains confines nothing.
      return text.split('\n').includes(`${name} (enforce)`);
    },
    async hasType(type) {
      try {
        await using file = await open(context, 'r+');
        // The kernel takes a context that its policy knows and refuses any other.
        await file.write(`system_u:system_r:${type}:s0`);
        return true;
      } catch {
        return false;
      }
    },
  };
}
