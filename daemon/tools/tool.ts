export type Provision = 'npm';

/** One thing that a task can be. Everything here is pure: words in, words out. */
export type Tool = {
  /** The program that has to be in the image; undefined where the arguments name it. */
  program: string | undefined;
  /** Why these arguments cannot be; empty when they can. The sandbox is the boundary, not this. */
  judge(args: readonly string[]): string[];
  command(args: readonly string[]): string[];
  provisions(args: readonly string[]): Provision[];
};

/** A tool that is its program: arguments go through as they are. */
export function plain(
  program: string,
  judge: (args: readonly string[]) => string[] = () => [],
): Tool {
  return {
    program,
    judge,
    command: (args) => [program, ...args],
    provisions: () => [],
  };
}
