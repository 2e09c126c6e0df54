import { spawn } from 'node:child_process';
import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { Command } from '../context.ts';
import { daemonEntry } from '../local.ts';
import { textOption } from '../options.ts';

/** Runs the daemon's program on its state directory, which no daemon may be using. */
export const auditAcknowledgeLoss: Command = async (context, _arguments, options) => {
  const { cwd, env, globals, print } = context;
  const reason = textOption(options, 'reason');
  if (reason === undefined || reason.trim() === '') {
    throw new OrchestraError('usage.invalid', 'Say why the records are gone: --reason TEXT', {
      hint: 'it is on record for whoever asks later',
    });
  }
  const { stateDir } = globals;
  const place = stateDir === undefined ? [] : ['--state-dir', path.resolve(cwd, stateDir)];
  const child = spawn(process.execPath, [daemonEntry(), ...place, '--acknowledge-loss', reason], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...env },
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code !== 0) return code ?? exitCodes.bug;
  if (print.json) print.object({ acknowledged: true, reason });
  else print.line('The loss is on record. orchestrad can be started again.');
  return exitCodes.ok;
};
