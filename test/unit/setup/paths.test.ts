import { expect, test } from 'vitest';
import { defaultPaths, enginePaths } from '#setup/paths.ts';

test('relative XDG folders are ignored, as their specification says', () => {
  const paths = defaultPaths(
    { HOME: '/home/m', XDG_CACHE_HOME: 'here', XDG_STATE_HOME: '../x' },
    1000,
  );
  expect(paths.cacheDir).toBe('/home/m/.cache/orchestra');
  expect(paths.stateDir).toBe('/home/m/.local/state/orchestra');
});

test('root keeps its state with the system and its socket in /run', () => {
  const paths = defaultPaths({ HOME: '/root' }, 0);
  expect(paths).toMatchObject({
    stateDir: '/var/lib/orchestra/state',
    socket: '/run/orchestra/orchestra.sock',
    configFile: '/etc/orchestra/orchestrad.yaml',
  });
});

test('a user without a runtime folder gets the socket beside the state', () => {
  const paths = defaultPaths({ HOME: '/home/m' }, 1000);
  expect(paths.socket).toBe('/home/m/.local/state/orchestra/orchestra.sock');
  expect(defaultPaths({ HOME: '/home/m', XDG_RUNTIME_DIR: '/run/user/1000' }, 1000).socket).toBe(
    '/run/user/1000/orchestra/orchestra.sock',
  );
});

test('two engine folders share nothing, the cgroup included', () => {
  const [one, two] = [{ ORCHESTRA_ENGINE_DIR: '/one' }, { ORCHESTRA_ENGINE_DIR: '/two' }].map(
    (env) => new Set(Object.values(enginePaths(env))),
  );
  expect(one?.isDisjointFrom(two ?? new Set())).toBe(true);
});
