import { describe, expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { makeProfile } from '#daemon/planner/profile.ts';
import { plan, type Planned } from '#daemon/planner/planner.ts';
import { kinds } from '#test/corpus/workspaces/index.ts';
import { entriesOf, nodeImage, type Kind } from '#test/corpus/workspaces/kind.ts';
import { shippedPolicy, testImage } from '#test/support/policies.ts';

const policy = shippedPolicy('default');

async function planned(kind: Kind): Promise<Planned | OrchestraError> {
  const profile = await makeProfile(entriesOf(kind), (path) => {
    const content = kind.files[path];
    return Promise.resolve(Buffer.from(typeof content === 'string' ? content : ''));
  });
  try {
    return plan({
      intent: kind.intent,
      profile,
      // Whoever has an image with more programs allows them as well.
      policy: { ...policy, tools: [...policy.tools, ...(kind.programs ?? [])] },
      image: testImage,
      imageTools: kind.programs ?? nodeImage,
    });
  } catch (error) {
    if (error instanceof OrchestraError) return error;
    throw error;
  }
}

function line({ id, tool, args, cwd, deps }: Planned['plan']['tasks'][number]): string {
  const place = cwd === '.' ? '' : ` @ ${cwd}`;
  const waits = deps.length === 0 ? '' : ` < ${deps.join(' ')}`;
  return `${id}: ${[tool, ...args].join(' ')}${place}${waits}`;
}

describe('the rules plan for a workspace as somebody who knows its kind would', () => {
  test('the corpus holds at least 60 kinds, each once', () => {
    expect(kinds.length).toBeGreaterThanOrEqual(60);
    expect(new Set(kinds.map(({ name }) => name)).size).toBe(kinds.length);
  });

  test.for(kinds)('$name', async (kind) => {
    const answer = await planned(kind);
    if ('refused' in kind) {
      expect(answer).toMatchObject({ code: 'plan.impossible' });
      const said = (answer as OrchestraError).places.map(({ message }) => message).join('\n');
      expect(said).toMatch(kind.refused);
      return;
    }
    if (answer instanceof OrchestraError) throw answer;
    expect(answer.plan.tasks.map(line)).toEqual(kind.plan);
    if (kind.assumes) expect(answer.plan.assumptions.join('\n')).toMatch(kind.assumes);
  });
});
