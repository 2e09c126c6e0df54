import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { acceptLoss, giveUpKey } from './audit/tree/accept-loss.ts';
import { openSigner } from './audit/tree/open-signer.ts';
import type { Config } from './config.ts';

/** What `orchestrad --acknowledge-loss` does instead of starting. */
export async function acknowledge(
  { config, version, signerProgram }: { config: Config; version: string; signerProgram: string },
  reason: string,
): Promise<void> {
  const { stateDir, signer: socket } = config;
  const onTrouble = (line: string) => void process.stderr.write(line);
  await acceptLoss({
    dir: join(stateDir, 'audit'),
    version,
    reason: reason.slice(0, 512),
    signer: openSigner({ socket, stateDir, program: signerProgram, onTrouble }),
    giveUp: () => {
      if (socket === undefined) return giveUpKey(signerProgram, stateDir);
      throw new OrchestraError('audit.unsigned', 'The loss is on record; the signer knows more', {
        hint: 'stop it, run it with --give-up on its own state, and start it and orchestrad again',
      });
    },
  });
}
