import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { Client } from '#cli/client/client.ts';
import { transportOf } from '#cli/run/snapshot.ts';
import { takeSnapshot } from '#cli/workspace/upload.ts';
import { runOutcomes, type RunView } from '#contract/run.ts';
import { ownContainers } from './containers.ts';
import { TestDaemon } from './daemon.ts';
import { knownPlan, type Known } from './known-plan.ts';
import { compare, toldOf, type Told } from './left-by-run.ts';
import { leftInState } from './left-in-state.ts';

/** A daemon of its own, the client of it, and a plan whose results are known before it runs. */
export class KnownRun implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly client: Client;
  readonly known: Known;

  private constructor(daemon: TestDaemon, known: Known) {
    this.known = known;
    this.daemon = daemon;
    this.client = new Client(daemon.socket);
  }

  static async open(
    failpoint = '',
    known = knownPlan({ diamonds: 1, variant: 0 }),
  ): Promise<KnownRun> {
    const env = { ORCHESTRA_FAILPOINTS: failpoint };
    return new KnownRun(await TestDaemon.start([], undefined, env), known);
  }

  /** One run; its daemon dies, and one after another that is told where; the last one lives. */
  async runThrough(others: readonly string[] = [], again = false): Promise<Told> {
    const snapshot = await this.snapshot();
    const submitted = await this.submit(snapshot).catch(() => undefined);
    expect(await this.daemon.ended()).toBe('SIGKILL');
    for (const death of others) {
      await this.daemon.restart([], { ORCHESTRA_FAILPOINTS: death }).catch(() => {});
      expect(await this.daemon.ended()).toBe('SIGKILL');
    }
    await this.daemon.restart();
    const known = submitted ?? (await this.#newest());
    if (again && known !== undefined) expect((await this.end(known)).state).toBe('unknown');
    const id = again || known === undefined ? await this.submit(snapshot) : known;
    await this.end(id);
    return this.assertWhole(id);
  }

  /** It left what it has to leave, and no task of it ran again that had succeeded. */
  async assertWhole(id: string): Promise<Told> {
    const where = { client: this.client, stateDir: this.daemon.stateDir };
    const { wrong } = await compare(where, id, this.known);
    const told = await toldOf(where, id);
    expect([...wrong, ...told.reran]).toEqual([]);
    return told;
  }

  /** After a daemon that was stopped in peace. */
  async whatIsLeft(): Promise<string[]> {
    expect(await this.daemon.stop()).toBe(0);
    const { stateDir } = this.daemon;
    const containers = await ownContainers(stateDir);
    return [...containers.map(({ Id }) => `container ${Id}`), ...leftInState(stateDir)];
  }

  async snapshot(): Promise<string> {
    const workspace = join(this.daemon.dir, 'work');
    mkdirSync(workspace, { recursive: true });
    writeFileSync(join(workspace, 'hello.txt'), 'hello\n');
    const memoFile = join(this.daemon.dir, 'memo');
    const transport = transportOf(this.client);
    return (await takeSnapshot({ workspace, memoFile, transport })).digest;
  }

  async submit(snapshot: string): Promise<string> {
    const plan = { text: this.known.text, file: 'plan.yaml' };
    const about = { intent: 'failpoints', snapshot, workspace: 'work', cache: false };
    const body = { ...about, plan, concurrency: 2 };
    return (await this.client.call('runSubmit', { body })).id;
  }

  /** The run whose submission was never answered, where there is one. */
  async #newest(): Promise<string | undefined> {
    const { items } = await this.client.call('runList', { query: { limit: 1 } });
    return items[0]?.id;
  }

  async end(id: string): Promise<RunView> {
    const over: readonly string[] = runOutcomes;
    for (;;) {
      const view = await this.client.call('runShow', { params: { id } });
      if (over.includes(view.state)) return view;
      await sleep(50);
    }
  }

  async cancel(id: string): Promise<RunView> {
    await this.client.call('runCancel', { params: { id }, body: { reason: 'the test' } });
    return this.end(id);
  }

  /** The run that goes on from it. */
  async resume(id: string): Promise<string> {
    const body = { mode: 'resume', again: false, dryRun: false } as const;
    return (await this.client.call('runContinue', { params: { id }, body })).id ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.daemon[Symbol.asyncDispose]();
  }
}
