import { PassThrough } from 'node:stream';
import * as fc from 'fast-check';
import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import { LiveTree } from '#cli/run/live-tree.ts';
import { finishedRow, liveRows } from '#cli/run/tree.ts';
import type { Styles } from '#cli/terminal/print.ts';
import { TaskState, type TaskView } from '#contract/run.ts';
import { runView, taskView } from '#test/support/fake-daemon.ts';

const same = (text: string) => text;
const styles: Styles = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };
const nowMs = Date.parse('2026-01-01T00:01:00.000Z');

const task = fc.record({
  id: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
  title: fc.string({ unit: 'grapheme', maxLength: 200 }),
  state: fc.constantFrom(...TaskState.options),
  reason: fc.string({ unit: 'binary', maxLength: 50 }),
});

test('the moving part is never higher or wider than the screen', () => {
  fc.assert(
    fc.property(
      fc.array(task, { maxLength: 60 }),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 120 }),
      (tasks, rows, columns) => {
        const view = runView({ state: 'running', tasks: tasks.map((each) => taskView(each)) });
        const drawn = liveRows(view, { rows, columns, nowMs, styles });
        expect(drawn.length).toBeLessThanOrEqual(Math.max(1, rows - 1));
        for (const row of drawn) {
          expect(row).not.toContain('\n');
          expect(stringWidth(row)).toBeLessThan(Math.max(2, columns));
        }
      },
    ),
  );
});

function crowd(state: TaskView['state'], count: number): TaskView[] {
  return Array.from({ length: count }, (_, at) => taskView({ id: `${state}-${at}`, state }));
}

test('a waiting task says what it waits for, and what has ended is no reason any more', () => {
  const tasks = [
    taskView({ id: 'install', state: 'succeeded' }),
    taskView({ id: 'build', state: 'running', deps: ['install'] }),
    taskView({ id: 'pack', state: 'waiting', deps: ['install', 'build'] }),
    taskView({ id: 'test', state: 'waiting', deps: ['install'] }),
  ];
  const screen = { rows: 20, columns: 80, nowMs, styles };
  const drawn = liveRows(runView({ state: 'running', tasks }), screen).join('\n');
  expect(drawn).toMatch(/pack +waiting +for build$/m);
  expect(drawn).toMatch(/test +waiting +for a free slot$/m);
});

test('failures stay in sight however much is waiting', () => {
  const tasks = [...crowd('waiting', 5000), ...crowd('running', 8), ...crowd('failed', 1)];
  const view = runView({ state: 'running', tasks });
  const drawn = liveRows(view, { rows: 8, columns: 80, nowMs, styles }).join('\n');
  expect(drawn).toContain('failed-0');
  expect(drawn).toContain('more waiting');
  expect(drawn).toContain('1 failed');
});

test('a state is an icon and a word, not only a colour', () => {
  const row = finishedRow(taskView({ state: 'skipped' }), { rows: 9, columns: 80, nowMs, styles });
  expect(row).toMatch(/» build +skipped/);
});

/** As much of a terminal as the tree uses: text, line ends, up, erase line, erase below. */
class Screen {
  readonly rows: string[] = [''];
  #at = 0;

  write(text: string): void {
    // oxlint-disable-next-line no-control-regex -- escape sequences are what is read here
    for (const part of text.match(/\u001b\[\d*[A-Za-z]|\n|\r|[^\u001b\n\r]+/g) ?? []) {
      // oxlint-disable-next-line no-control-regex
      const sequence = /^\u001b\[(\d*)([A-Za-z])$/.exec(part);
      if (sequence === null) this.#plain(part);
      else this.#sequence(sequence[2] ?? '', Number(sequence[1] ?? 0));
    }
  }

  #plain(part: string): void {
    if (part === '\r') return;
    if (part !== '\n') this.rows[this.#at] += part;
    else if (++this.#at === this.rows.length) this.rows.push('');
  }

  #sequence(name: string, count: number): void {
    if (name === 'A') {
      expect(count).toBeLessThanOrEqual(this.#at);
      this.#at -= count;
    } else if (name === 'K') this.rows[this.#at] = '';
    else if (name === 'J') this.rows.splice(this.#at, Infinity, '');
    else expect(name).toBe('m');
  }
}

test('what has ended becomes scrollback once, and nothing that moves is left behind', () => {
  const stream = Object.assign(new PassThrough(), { isTTY: true, rows: 6, columns: 60 });
  const screen = new Screen();
  stream.on('data', (chunk: Buffer) => screen.write(chunk.toString()));
  const tree = new LiveTree(stream, styles, { now: () => nowMs });
  const ids = ['a', 'b', 'c', 'd'];
  for (let done = 0; done <= ids.length; done++) {
    const tasks = ids.map((id, at) =>
      taskView({ id, state: at < done ? 'succeeded' : at === done ? 'running' : 'waiting' }),
    );
    tree.view(runView({ state: 'running', tasks }));
    if (done === 2) tree.say('a word in between');
  }
  tree.end();
  const rows = screen.rows.map((row) => row.trim().split(/\s+/).slice(0, 2).join(' '));
  expect(rows).toEqual(['✔ a', '✔ b', 'a word', '✔ c', '✔ d', '']);
});
