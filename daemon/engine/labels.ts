/** Labels that every sandbox carries, so that strays are found after a crash. */
export const labelNames = {
  install: 'orchestra.install',
  run: 'orchestra.run',
  task: 'orchestra.task',
  attempt: 'orchestra.attempt',
  slot: 'orchestra.slot',
} as const;

export function sandboxLabels(of: {
  install: string;
  run: string;
  task: string;
  attempt: number;
}): Record<string, string> {
  return {
    [labelNames.install]: of.install,
    [labelNames.run]: of.run,
    [labelNames.task]: of.task,
    [labelNames.attempt]: String(of.attempt),
  };
}
