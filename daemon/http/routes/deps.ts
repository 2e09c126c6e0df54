import type { Check } from '#contract/api.ts';
import type { Brought } from '../../access/brought.ts';
import type { CallerReader } from '../../access/caller.ts';
import type { Access } from '../../access/open.ts';
import type { TokenOffice } from '../../access/tokens-office.ts';
import type { Usage } from '../../access/usage.ts';
import type { Anchoring } from '../../audit/anchoring/anchoring.ts';
import type { Forwarders } from '../../audit/forward/forwarders.ts';
import type { LogIndex } from '../../audit/index-db.ts';
import type { LogPruner } from '../../audit/retention/log-pruner.ts';
import type { Checkpoints } from '../../audit/tree/types.ts';
import type { Runs } from '../../runs/runs.ts';
import type { RunsDeps } from '../../runs/deps.ts';

/** What the routes may call; everything below is made in `main.ts`. */
export type RouteDeps = {
  runs: Runs;
  runsDeps: RunsDeps;
  index: LogIndex;
  auditDir: string;
  /** Absent where nobody signs the log. */
  checkpoints?: Checkpoints | undefined;
  /** Absent where nobody signs the log. */
  logPruner?: LogPruner | undefined;
  /** Absent where nobody signs the log. */
  anchoring?: Anchoring | undefined;
  /** Absent where none is opened. */
  forwarders?: Forwarders | undefined;
  /** Absent where nobody is given any. */
  tokens?: TokenOffice | undefined;
  access: Access & { usage: Usage; brought: Brought };
  /** Who calls on the socket, the strongest proof first. */
  readers: readonly Pick<CallerReader, 'proof' | 'missing'>[];
  settings: { name: string; value: string; origin: string }[];
  doctor(): Promise<Check[]>;
  isStopping(): boolean;
};
