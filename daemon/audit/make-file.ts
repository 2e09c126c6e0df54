import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * A new file of mode 0600 that is there whole or not at all, whenever its writer dies; durable with
 * its name. False, and nothing changed, where there is one already.
 */
export async function makeFile(path: string, content: string | Uint8Array): Promise<boolean> {
  const fresh = `${path}.${randomBytes(6).toString('hex')}.new`;
  try {
    {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
      await using file = await open(fresh, flags | constants.O_NOFOLLOW, 0o600);
      await file.writeFile(content);
      await file.sync();
    }
    await link(fresh, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(fresh, { force: true });
  }
  await using folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  await folder.sync();
  return true;
}
