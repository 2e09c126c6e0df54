/**
 * Why a path of a plan is refused, undefined when it names something beneath the workspace. There
 * is one spelling of each path: no `.` but alone, no empty part, nothing that leads upwards.
 */
export function pathProblem(path: string): string | undefined {
  if (path === '.') return undefined;
  if (!path.isWellFormed()) return 'is not well-formed text';
  if (/\p{Cc}/u.test(path)) return 'holds a control character';
  if (path.includes('\\')) return 'holds a backslash';
  if (path.startsWith('/')) return 'is absolute; paths are relative to the workspace';
  const parts = path.split('/');
  if (parts.includes('..')) return 'leads upwards with ..';
  if (parts.some((part) => part === '' || part === '.')) return 'has an empty or "." part';
  return undefined;
}
