import { OrchestraError } from '#contract/errors.ts';

/** Why an upload is not taken. */
export function malformed(what: string, path?: string): OrchestraError {
  return new OrchestraError(
    'workspace.invalid',
    `The upload of the workspace is malformed: ${what}`,
    path === undefined ? {} : { places: [{ pointer: path, message: what }] },
  );
}

export function tooLarge(what: string, path?: string): OrchestraError {
  return new OrchestraError('workspace.too_large', `The workspace is too large: ${what}`, {
    hint: 'leave out what the build does not need in .orchestraignore',
    ...(path === undefined ? {} : { places: [{ pointer: path, message: what }] }),
  });
}
