import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBy, parseRequests, percentile } from '../tools/requests.js';

test('a line that is not a request is refused by its number', () => {
  assert.throws(() => parseRequests('ant\t/\t200\t7\nant\t/\tOK\t7\n'), /line 2/);
  assert.throws(() => parseRequests('ant\t/\t200\t7\textra\n'), /line 1/);
});

test('a percentile of nothing is refused', () => {
  assert.throws(() => percentile([], 0.5), RangeError);
});

test('counts come most frequent first, ties by value', () => {
  const requests = parseRequests('b\t/\t200\t1\na\t/\t200\t1\nc\t/\t200\t1\nc\t/\t404\t1\n');
  assert.deepEqual(countBy(requests, 'host'), [
    { value: 'c', count: 2 },
    { value: 'a', count: 1 },
    { value: 'b', count: 1 },
  ]);
});

test('percentiles are numbers that occurred', () => {
  const numbers = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.equal(percentile(numbers, 0.95), 95);
  assert.equal(percentile(numbers, 0), 1);
  assert.equal(percentile([3], 1), 3);
});
