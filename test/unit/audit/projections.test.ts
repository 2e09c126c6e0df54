import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { Orchestra } from '#test/support/orchestra.ts';

test('whoever moves a run past the log is noticed at the end of a test', async () => {
  await using it = await Orchestra.open();
  const id = await it.run([{ id: 'one', tool: 'sh', args: ['-c', 'true'] }]);
  Object.assign(it.rooms.deps.states.find(id) ?? {}, { state: 'failed' });
  await expect(it.stop()).rejects.toThrow('a fold over the log is what was there live');
});

test('an index that says something else than the log is noticed at the end of a test', async () => {
  await using it = await Orchestra.open();
  await it.run([{ id: 'one', tool: 'sh', args: ['-c', 'true'] }]);
  await expect
    .poll(() => {
      using database = new DatabaseSync(join(it.stateDir, 'compared.sqlite'));
      return database.prepare("UPDATE records SET type = 'x.y' WHERE seq = 3").run().changes;
    })
    .toBe(1);
  await expect(it.stop()).rejects.toThrow('the index says what the log says');
});
