import { expect, test } from 'vitest';
import {
  PlannerList,
  plannerSettings,
  type PlannerEntry,
} from '#daemon/planner/models/settings.ts';

const claude = { kind: 'anthropic', name: 'claude', model: 'm', key: { file: '/k' } };
const local = { kind: 'compatible', name: 'local', model: 'm', base_url: 'http://127.0.0.1:1/v1' };
const wrong = (...entries: unknown[]) => {
  const parsed = PlannerList.safeParse(entries);
  return parsed.success ? 'taken' : parsed.error.issues.map(({ message }) => message).join('; ');
};

test('what would leave this machine in clear, or with a key to somebody else, is refused', () => {
  expect(wrong({ ...claude, base_url: 'http://api.example' })).toContain('without TLS');
  expect(wrong({ ...claude, base_url: 'http://10.0.0.1/', plain_http: true })).toContain(
    'in clear',
  );
  expect(wrong({ ...local, base_url: 'http://10.0.0.1/v1' })).toContain('without TLS');
  expect(wrong({ ...local, base_url: 'http://10.0.0.1/v1', plain_http: true })).toBe('taken');
  expect(wrong({ ...local, base_url: 'http://127.0.0.1.example/v1' })).toContain('without TLS');
  expect(wrong({ ...local, base_url: 'http://localhost:11434/v1' })).toBe('taken');
  expect(wrong({ ...local, base_url: 'http://[::1]:1/v1' })).toBe('taken');
});

test('an address that is none, or says more than where, is refused', () => {
  for (const base_url of [
    'file:///etc/passwd',
    'unix:///x',
    'api.example',
    'https://user:pass@api.example/',
    'https://api.example/?key=1',
    'https://api.example/#x',
    'https://api.example/ x',
  ]) {
    expect(wrong({ ...claude, base_url }), base_url).not.toBe('taken');
  }
});

test('a key is a file or a credential: neither its text nor a variable can be given', () => {
  for (const key of [
    'sk-x',
    { text: 'sk-x' },
    { env: 'KEY' },
    { file: 'relative' },
    { credential: '../x' },
  ]) {
    expect(wrong({ ...claude, key }), JSON.stringify(key)).not.toBe('taken');
  }
  expect(wrong({ ...claude, key: { credential: 'anthropic.key' } })).toBe('taken');
  const { key: _key, ...without } = claude;
  expect(wrong(without)).toContain('is missing');
});

test('a limit of cost without a price is none, and refused', () => {
  expect(wrong({ ...claude, budget: { cost: 1 } })).toContain('needs the price');
  expect(wrong({ ...claude, budget: { cost: 1 }, price: { input: 3, output: 15 } })).toBe('taken');
});

test('names are told apart, and those of records are not to be had', () => {
  expect(wrong(claude, { ...local, name: 'claude' })).toContain('twice');
  for (const name of ['rules', 'file', 'exec', 'earlier', 'A', '', 'a b', '-a']) {
    expect(wrong({ ...claude, name }), name).not.toBe('taken');
  }
  expect(wrong({ kind: 'rules', name: 'other' })).toContain('is called rules');
  expect(wrong({ kind: 'rules', name: 'rules', model: 'x' })).toContain('no settings');
});

test('unknown keys are refused', () => {
  expect(wrong({ ...claude, temperature: 0 })).not.toBe('taken');
  expect(wrong({ ...claude, answer: 'text' })).toContain('compatible');
});

test('the rules come last where nobody names them, and where they are named otherwise', () => {
  const names = (...entries: unknown[]) =>
    plannerSettings(PlannerList.parse(entries as PlannerEntry[])).map(({ name }) => name);
  expect(names()).toEqual(['rules']);
  expect(names(claude, local)).toEqual(['claude', 'local', 'rules']);
  expect(names({ kind: 'rules', name: 'rules' }, claude)).toEqual(['rules', 'claude']);
});
