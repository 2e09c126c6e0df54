import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Orchestra } from './orchestra.ts';

/** A daemon with a policy of its own beneath the ceiling that ships. */
export class Site implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'orchestra-policies-'));
  it!: Orchestra;

  static async open(name: string, text: string): Promise<Site> {
    const site = new Site();
    site.write(name, text);
    try {
      site.it = await Orchestra.open({ config: { policies: site.dir, policy: name } });
    } catch (error) {
      rmSync(site.dir, { recursive: true });
      throw error;
    }
    return site;
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.dir, `${name}.yaml`), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.it.stop();
    rmSync(this.dir, { recursive: true });
  }
}
