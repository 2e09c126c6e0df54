/** What may be done to a task while it runs. Both may be repeated, and come after its end. */
export type SandboxControl = {
  /** All its processes stand still, and so do its clocks. Rejects where the engine cannot. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
};
