import { describe, expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { findEngine, findEngines, parseHost } from '#setup/engine/find.ts';
import { fakeEngine, likeDocker } from './fake-engine.ts';

const refusalOf = async (host: string): Promise<OrchestraError> => {
  const outcome: unknown = await findEngine({ explicit: host, env: {}, timeoutMs: 300 }).catch(
    (error: unknown) => error,
  );
  if (!(outcome instanceof OrchestraError)) throw new Error('an engine was found');
  return outcome;
};

describe('an engine that does not answer well', () => {
  test('is refused with the reason when nobody listens', async () => {
    const error = await refusalOf('unix:///nowhere/engine.sock');
    expect(error.code).toBe('engine.unavailable');
    expect(error.places[0]?.message).toContain('there is no such socket');
    expect(error.hint).toContain('--engine');
  });

  test('is given up after a deadline when it accepts and stays silent', async () => {
    await using engine = await fakeEngine(() => {});
    const error = await refusalOf(engine.host);
    expect(error.places[0]?.message).toContain('no answer within');
  });

  test('is given up when the head of the answer comes and its body never ends', async () => {
    await using engine = await fakeEngine((_request, response) => {
      response.write('O');
    });
    const error = await refusalOf(engine.host);
    expect(error.places[0]?.message).toContain('did not end');
  });

  test('is refused when something else listens there', async () => {
    await using engine = await fakeEngine((_request, response) => response.end('"hello"'));
    const error = await refusalOf(engine.host);
    expect(error.places[0]?.message).toContain('not like a container engine');
  });

  test('is refused when its answer is endless', async () => {
    await using engine = await fakeEngine((_request, response) => {
      response.end(Buffer.alloc(9 * 1024 * 1024, 'O'));
    });
    const error = await refusalOf(engine.host);
    expect(error.places[0]?.message).toContain('above');
  });

  test('is refused when it answers an error', async () => {
    await using engine = await fakeEngine((_request, response) => {
      response.statusCode = 503;
      response.end('later');
    });
    const error = await refusalOf(engine.host);
    expect(error.places[0]?.message).toContain('answered 503 to a ping: later');
  });
});

test('an engine that DOCKER_HOST names is never replaced by another that would answer', () => {
  const env = { DOCKER_HOST: 'unix:///nowhere.sock', XDG_RUNTIME_DIR: '/run/user/1' };
  expect(findEngines(env)).toEqual([{ host: 'unix:///nowhere.sock', origin: 'DOCKER_HOST' }]);
});

test('a flag is stronger than DOCKER_HOST', () => {
  expect(findEngines({ DOCKER_HOST: 'unix:///a.sock' }, 'unix:///b.sock')).toEqual([
    { host: 'unix:///b.sock', origin: 'flag' },
  ]);
});

test('without a name, Docker comes before Podman and Podman before our own', () => {
  const env = { DOCKER_HOST: '', XDG_RUNTIME_DIR: '/run/user/7', ORCHESTRA_ENGINE_DIR: '/own' };
  expect(findEngines(env).map(({ host, origin }) => `${origin} ${host}`)).toEqual([
    'default unix:///var/run/docker.sock',
    'podman unix:///run/user/7/podman/podman.sock',
    'podman unix:///run/podman/podman.sock',
    'private unix:///own/docker.sock',
  ]);
});

test('an engine that answers is described', async () => {
  await using engine = await fakeEngine(likeDocker());
  await expect(findEngine({ env: { DOCKER_HOST: engine.host } })).resolves.toEqual({
    host: engine.host,
    socketPath: engine.host.slice('unix://'.length),
    kind: 'docker',
    origin: 'DOCKER_HOST',
    version: '20.10.24',
    apiVersion: '1.41',
  });
});

test('Podman is told from Docker by its components', async () => {
  await using engine = await fakeEngine(likeDocker({ Components: [{ Name: 'Podman Engine' }] }));
  await expect(findEngine({ explicit: engine.host, env: {} })).resolves.toMatchObject({
    kind: 'podman',
    origin: 'flag',
  });
});

test.each([
  ['unix://relative.sock', 'not absolute'],
  ['unix:///a\0b', 'not absolute'],
  ['ssh://host', 'ssh -N -L'],
  ['npipe:////./pipe/docker', 'not an engine address'],
  ['hello', 'not an engine address'],
  ['', 'not an engine address'],
])('the address %j is refused with words', (host, words) => {
  expect(() => parseHost(host)).toThrow(words);
});

test.each([
  ['unix:///run/a.sock', { socketPath: '/run/a.sock' }],
  ['/run/a.sock', { socketPath: '/run/a.sock' }],
  ['tcp://127.0.0.1:1234', { hostname: '127.0.0.1', port: 1234 }],
  ['tcp://localhost', { hostname: 'localhost', port: 2375 }],
  ['tcp://[::1]:99', { hostname: '::1', port: 99 }],
])('the address %j is understood', (host, endpoint) => {
  expect(parseHost(host)).toEqual(endpoint);
});
