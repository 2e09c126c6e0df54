import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { acknowledgeLoss } from '../log.ts';
import { newestOf, readCheckpoints } from './checkpoint-file.ts';
import { GrowingTree } from './growing-tree.ts';
import { LogKeys } from './keys.ts';
import type { SignerPort } from './signer-port.ts';
import { judge } from './standing.ts';
import { TileFiles } from './tile-files.ts';

export type AcceptLoss = {
  /** The folder of the log. */
  dir: string;
  version: string;
  reason: string;
  signer: SignerPort;
  /** Has the signer give its key up; asked only where that is needed, with nobody connected. */
  giveUp: () => Promise<void>;
};

/**
 * For a log of which records are gone for good that were signed: the loss is on record, and a new key
 * signs what is left, by a record that says what the old key had signed last. The old one signed a
 * longer log, so it never signs again.
 */
export async function acceptLoss(options: AcceptLoss): Promise<void> {
  const { dir, version, reason, signer, giveUp } = options;
  const { state } = await signer.ask({ op: 'hello' });
  const signed = newestOf((await readCheckpoints(dir))?.notes ?? []);
  const tree = new GrowingTree({ files: new TileFiles(dir) });
  const keys = new LogKeys();
  let origin = '';
  const log = {
    dir,
    version,
    origin: '',
    tree,
    signedSize: state?.size,
    onRecord: (record: Parameters<LogKeys['fold']>[0]) => {
      keys.fold(record);
      if (record.type === 'log.genesis') origin = record.data.origin;
    },
  };
  await acknowledgeLoss(log, reason);
  await tree.settle();
  const last = keys.newest;
  if (state === undefined && last !== undefined) {
    const root = signed?.root.toString('base64') ?? '';
    const follows = { epoch: last.epoch, vkey: last.vkey, size: signed?.size ?? 0, root };
    await signer.ask({ op: 'init', origin, follows });
    await signer.close();
    return;
  }
  const fits = await judge(state, { origin, tree, keys }).then(
    () => true,
    (error: unknown) => {
      if (error instanceof OrchestraError) return false;
      throw error;
    },
  );
  await signer.close();
  if (!fits) await giveUp();
}

/** Runs the signer's program for that: nobody can ask for it over a wire. */
export async function giveUpKey(program: string, stateDir: string): Promise<void> {
  const args = [program, '--state', join(stateDir, 'signer'), '--give-up'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  if (code === 0) return;
  throw new OrchestraError('audit.unsigned', 'The signer did not give its key up', {
    hint: 'see what it says above, then do this again',
  });
}
