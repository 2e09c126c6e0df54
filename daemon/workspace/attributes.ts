import { OrchestraError } from '#contract/errors.ts';
import { isOpaque, opaqueName } from '../artifacts/overlay.ts';
import type { Xattrs } from '../artifacts/xattr.ts';

/** What a task could set, or have set for it. Labels that the host's kernel needs are not among it. */
const takenAway = /^(?:user\.|trusted\.|security\.capability$|system\.posix_acl_)/;

/** The kernel's notes of its own overlay; with two prefixes it is a task's word that it disarmed. */
const kernelsOwn = /^user\.overlay\.(?!overlay\.)/;

/**
 * Takes the extended attributes away that a later mount would see and no digest covers: the
 * overlay's own words above all, with which a layer could redirect a directory, show a file of
 * another layer as its own, or hide what is below. An opaque directory keeps its mark, which its
 * entry says too. Answers whether any of them was the task's doing.
 */
export function stripAttributes(xattrs: Xattrs, of: number | string | Buffer): boolean {
  let planted = false;
  for (const name of xattrs.list(of)) {
    if (!takenAway.test(name)) continue;
    if (name === opaqueName && typeof of !== 'number' && isOpaque(xattrs, of)) continue;
    if (!xattrs.remove(of, name) && xattrs.list(of).includes(name)) {
      throw new OrchestraError(
        'workspace.invalid',
        'A task left an attribute that cannot be removed',
      );
    }
    if (!kernelsOwn.test(name)) planted = true;
  }
  return planted;
}
