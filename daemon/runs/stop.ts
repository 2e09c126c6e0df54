/** Why a run ends before its time; the reason of its abort signal. The first cause wins. */
export class Stop extends Error {
  override readonly name = 'Stop';
  readonly kind:
    | 'cancelled'
    | 'timed_out'
    | 'daemon_stopping'
    /** The run stays open: the next daemon goes on with it. */
    | 'daemon_leaving'
    | 'violated'
    | 'engine_lost';

  constructor(kind: Stop['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

export function stopOf(signal: AbortSignal): Stop | undefined {
  if (!signal.aborted) return undefined;
  return signal.reason instanceof Stop ? signal.reason : new Stop('cancelled', 'stopped');
}
