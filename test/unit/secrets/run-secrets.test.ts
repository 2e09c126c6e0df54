import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { openRunSecrets } from '#daemon/secrets/run-secrets.ts';
import { OutputMask } from '#daemon/secrets/output-mask.ts';

const values: Record<string, string> = { A: 'the-value-of-a', B: 'the-value-of-b' };
const store = {
  read: (name: string) => {
    const value = values[name];
    return value === undefined
      ? Promise.reject(new OrchestraError('secret.unknown', `There is no secret ${name}`))
      : Promise.resolve(Buffer.from(value));
  },
};

async function* pieces(...list: [1 | 2, string][]) {
  for (const [s, text] of list) yield { s, bytes: Buffer.from(text) };
}

test('all that is missing is named at once', async () => {
  await expect(openRunSecrets(store, ['X', 'A', 'Y'])).rejects.toMatchObject({
    code: 'secret.unknown',
    places: [{ message: 'There is no secret X' }, { message: 'There is no secret Y' }],
  });
});

test('too many secrets for one run are refused', async () => {
  const names = Array.from({ length: 65 }, (_, i) => `S${i}`);
  await expect(openRunSecrets(store, names)).rejects.toMatchObject({ code: 'secret.invalid' });
});

test('a secret that the run was not accepted with is not given', async () => {
  const run = await openRunSecrets(store, ['A']);
  expect(() => run.filesFor(['B'])).toThrow('accepted without B');
  expect(run.filesFor(['A'])).toEqual([{ name: 'A', value: Buffer.from('the-value-of-a') }]);
});

test('every secret of the run is masked in the output of each task, each stream for itself', async () => {
  const run = await openRunSecrets(store, ['A', 'B', 'A']);
  const mask = new OutputMask(run.automaton);
  const out = await Array.fromAsync(
    mask.over(
      pieces([1, 'the-val'], [2, 'the-value-of-b\n'], [1, 'ue-of-a and the-value'], [2, 'x']),
    ),
  );
  const text = (s: number) =>
    out
      .filter((piece) => piece.s === s)
      .map(({ bytes }) => Buffer.from(bytes).toString())
      .join('');
  expect([text(1), text(2)]).toEqual(['*** and ***', '***\nx']);
  expect(mask.times).toBe(3);
});

test('a reason that names a secret in a path is masked', async () => {
  const run = await openRunSecrets(store, ['A']);
  expect(run.masked('both wrote "tmp/the-value-of-a.txt"')).toBe('both wrote "tmp/***.txt"');
});

test('without secrets nothing is looked at', async () => {
  const run = await openRunSecrets(store, []);
  const source = pieces([1, 'x']);
  expect(new OutputMask(run.automaton).over(source)).toBe(source);
});
