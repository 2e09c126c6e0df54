import assert from 'node:assert/strict';
import { test } from 'node:test';
import { discounted } from '../src/price.js';

test('no discount leaves the price as it is', () => {
  assert.equal(discounted(1999, 0), 1999);
});

test('a quarter off', () => {
  assert.equal(discounted(2000, 25), 1500);
});

test('a large discount never makes the price negative', () => {
  assert.equal(discounted(1000, 80), 200);
});
