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

/**
 * Why a glob of a plan is refused, undefined when `workspace/globs.ts` can read it. What other tools
 * would take for a set of names is refused, because here it would match nothing in silence.
 */
export function globProblem(glob: string): string | undefined {
  const path = glob.replace(/^!/, '').replace(/\/$/, '');
  if (path === '') return 'names nothing';
  const problem = path === '.' ? 'has an empty or "." part' : pathProblem(path);
  if (problem !== undefined) return problem;
  if (/[{}]/.test(path)) return 'holds a brace; write a glob for each name';
  if (path.split('/').some((part) => part.includes('**') && part !== '**')) {
    return 'holds ** beside other characters; it stands for whole directories';
  }
  return undefined;
}
