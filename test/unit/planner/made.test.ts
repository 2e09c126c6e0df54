import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planFileOf } from '#cli/run/plan-file.ts';
import { OrchestraError } from '#contract/errors.ts';
import { makeProfile } from '#daemon/planner/profile.ts';
import { plan, type Planned, type PlanRequest } from '#daemon/planner/planner.ts';
import { kinds } from '#test/corpus/workspaces/index.ts';
import { entriesOf, nodeImage, type Kind } from '#test/corpus/workspaces/kind.ts';
import { shippedPolicy, testImage } from '#test/support/policies.ts';

const policy = shippedPolicy('default');
const context = { policy, image: testImage, imageTools: nodeImage };

async function planned(kind: Kind): Promise<Planned> {
  const profile = await makeProfile(entriesOf(kind), (path) => {
    const content = kind.files[path];
    return Promise.resolve(Buffer.from(typeof content === 'string' ? content : ''));
  });
  const tools = [...policy.tools, ...(kind.programs ?? [])];
  const imageTools = kind.programs ?? nodeImage;
  return plan({
    ...context,
    intent: kind.intent,
    profile,
    policy: { ...policy, tools },
    imageTools,
  });
}

async function again(text: string, change: Partial<PlanRequest> = {}): Promise<Planned> {
  const profile = await makeProfile([], () => Promise.resolve(new Uint8Array()));
  const planText = { text, file: 'plan.yaml' };
  return plan({ ...context, intent: 'run it', profile, planText, ...change });
}

async function refused(text: string, change: Partial<PlanRequest> = {}): Promise<OrchestraError> {
  try {
    await again(text, change);
  } catch (error) {
    if (error instanceof OrchestraError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

const written = ({ plan: made, digest }: Planned) => planFileOf({ ...made, digest, intent: 'x' });
const whole = kinds.filter((kind) => 'plan' in kind && kind.programs === undefined);
const [first] = whole;
if (first === undefined) throw new Error('the corpus is empty');

describe('a plan that was made and written down', () => {
  test.each(whole)('is run as exactly that plan: $name', async (kind) => {
    const made = await planned(kind);
    const read = await again(written(made));
    expect(read.digest).toBe(made.digest);
    expect(read.plan).toEqual(made.plan);
    expect(read.from).toBe('file');
  });

  test('is refused where a word of it was changed, at the line that says what it was', async () => {
    const made = await planned(first);
    const text = written(made).replace('- ci', '- install');
    const error = await refused(text);
    expect(error).toMatchObject({ code: 'plan.invalid' });
    const line = text.split('\n').findIndex((each) => each.includes('digest:')) + 1;
    expect(error.places).toMatchObject([{ file: 'plan.yaml', line }]);
    expect(error.places[0]?.hint).toContain('made:');
  });

  test('is refused under another policy and in another image', async () => {
    const text = written(await planned(first));
    expect(await refused(text, { policy: shippedPolicy('ci') })).toMatchObject({
      code: 'plan.invalid',
    });
    const image = { ...testImage, id: `sha256:${'e'.repeat(64)}` as const };
    expect(await refused(text, { image })).toMatchObject({ code: 'plan.invalid' });
  });

  test('is another one with a lower limit, and the same one where more is asked than there is', async () => {
    const made = await planned(first);
    const text = written(made);
    const lower = text.replace('timeout: 30m', 'timeout: 29m');
    expect(await refused(lower)).toMatchObject({ code: 'plan.invalid' });
    const higher = text.replace('timeout: 30m', 'timeout: 3d');
    expect((await again(higher)).plan).toEqual(made.plan);
  });

  test('runs as it is once it says no more what it was', async () => {
    const made = await planned(first);
    const { digest: _digest, ...rest } = { ...made.plan, digest: made.digest };
    const text = planFileOf({ ...rest, intent: 'x' }).replace('- ci', '- install');
    const read = await again(text);
    expect(read.plan.planner).toBe('file');
    expect(read.digest).not.toBe(made.digest);
  });

  test('keeps titles, reasons and limits to the letter', async () => {
    const made = await planned(first);
    const words = fc.string({ unit: 'grapheme-ascii', maxLength: 60 });
    const limits = fc.record({
      memoryBytes: fc.integer({ min: 6 * 1024 ** 2, max: 2 * 1024 ** 3 }),
      timeoutMs: fc.integer({ min: 1, max: 1_800_000 }),
      cpuMilli: fc.integer({ min: 10, max: 2000 }),
    });
    await fc.assert(
      fc.asyncProperty(words, words, limits, async (title, why, some) => {
        const tasks = made.plan.tasks.map((task) => ({
          ...task,
          title,
          why,
          limits: { ...task.limits, ...some },
        }));
        const read = await again(planFileOf({ ...made.plan, tasks, intent: 'x' }));
        const said = read.plan.tasks.map((task) => [task.title, task.why, task.limits]);
        expect(said).toEqual(tasks.map((task) => [task.title, task.why, task.limits]));
      }),
      { numRuns: 50 },
    );
  });
});
