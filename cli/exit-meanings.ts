import { exitCodes } from '#contract/errors.ts';

/** One line for each exit code: the contract that `orchestra help exit-codes` prints. */
export const exitMeanings: Readonly<Record<number, string>> = {
  [exitCodes.ok]: 'everything succeeded',
  [exitCodes.config]: 'configuration or usage error; also a problem that doctor found',
  [exitCodes.taskFailed]: 'a task failed',
  [exitCodes.timeout]: 'a task, the run or a wait for it ran out of time',
  [exitCodes.violation]: 'security violation: denied by policy, or a broken record',
  [exitCodes.unreachable]: 'the daemon or the engine cannot be reached, or does not know who calls',
  [exitCodes.denied]: 'access denied, a yes is missing, or the run was cancelled',
  [exitCodes.differs]: 'differences found, only with --exit-code',
  [exitCodes.bug]: 'a bug in Orchestra',
  [exitCodes.interrupted]: 'interrupted by Ctrl-C',
  [exitCodes.terminated]: 'ended by SIGTERM',
};

/** The same in a word or two, for the last line of a command that failed. */
export const exitWords: Readonly<Record<number, string>> = {
  [exitCodes.config]: 'config error',
  [exitCodes.taskFailed]: 'task failed',
  [exitCodes.timeout]: 'timeout',
  [exitCodes.violation]: 'security violation',
  [exitCodes.unreachable]: 'unreachable or not let in',
  [exitCodes.denied]: 'denied, not confirmed or cancelled',
  [exitCodes.differs]: 'differences',
  [exitCodes.bug]: 'bug in Orchestra',
  [exitCodes.interrupted]: 'interrupted',
  [exitCodes.terminated]: 'terminated',
};
