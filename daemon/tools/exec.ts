import type { Tool } from './tool.ts';

/** Any program of the image or of the workspace: the first argument names it. */
export const exec: Tool = {
  program: undefined,
  judge([program]) {
    if (program === undefined) return ['exec needs a program as its first argument'];
    if (program.trim() === '') return ["exec's program has an empty name"];
    if (program.startsWith('-')) return [`exec's first argument is a program, not ${program}`];
    return [];
  },
  command: (args) => [...args],
  provisions: () => [],
};
