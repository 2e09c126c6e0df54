import type { Log } from '../audit/types.ts';
import type { PermitOffice } from '../policy/permit.ts';
import type { Doors } from './doors.ts';
import { parseAddress } from './drivers/address.ts';
import { chooseEngine } from './drivers/choose.ts';
import { seesFile } from './drivers/sight.ts';
import type { Engine } from './engine.ts';
import type { FloorFacts } from './floor.ts';
import { guardEngine } from './guard.ts';
import type { Kernel } from './kernel.ts';
import { findWay, type LayersWay } from './sight.ts';
import { readHostLimits } from './host-limits.ts';
import { writeHostsFile } from './hosts-file.ts';

export type EngineParts = {
  /** `unix:///path` or `tcp://host:port`. DOCKER_HOST is not looked at. */
  host: string;
  /** A directory of the daemon, never shown to a sandbox, for the engine room's own small files. */
  dir: string;
  log: Pick<Log, 'append' | 'appendAll' | 'blocked'>;
  office: PermitOffice;
  floor: FloorFacts;
  deadlineMs?: number;
  kernel?: Kernel | undefined;
  doors?: Doors | undefined;
  /** How layers get to its sandboxes; `mounts` if left out. */
  layers?: LayersWay;
  /** Where the files lie that sandboxes are shown; in `dir` if left out. */
  files?: string | undefined;
};

/** The only place that makes a driver, and it never gives out a bare one. Connects on first use. */
export function openEngine({ host, dir, files, floor, layers, ...parts }: EngineParts): Engine {
  const address = parseAddress(host);
  const sockets = 'socketPath' in address ? [address.socketPath] : [];
  const isHere = sockets.length > 0;
  const isSeen = layers !== 'streams';
  const facts = {
    ...(isSeen ? { hostsFile: writeHostsFile((isHere ? files : undefined) ?? dir) } : {}),
    ...readHostLimits(),
  };
  return guardEngine({
    ...parts,
    ...(isHere ? {} : { kernel: undefined }),
    ...(isHere && isSeen ? {} : { doors: undefined }),
    driver: chooseEngine({ host, facts, dir }),
    floor: { ...floor, secrets: [...floor.secrets, ...sockets] },
    host: facts,
    sameMachine: isHere,
  });
}

/** How layers get to the sandboxes of the engine at `host`; `dir` is one that it may be asked about. */
export async function layersWay(host: string, dir: string): Promise<LayersWay> {
  const address = parseAddress(host);
  const sees = async (file: string) => seesFile(address, file);
  return findWay(dir, { sees, isSocket: 'socketPath' in address });
}
