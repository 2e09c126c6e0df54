import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { PlannerEntry } from '#daemon/planner/models/settings.ts';
import type { Tried } from '#daemon/planner/models/asker.ts';
import {
  begins,
  ModelServer,
  protocols,
  says,
  status,
  stream,
  type Protocol,
  type Reply,
} from '#test/support/model-server.ts';
import {
  keyFile,
  planner,
  plannersOf,
  saidPlan,
  testKey,
  wordsFor,
} from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const sound = saidPlan({});

async function freshDir(): Promise<string> {
  const dir = await tempDir();
  onTestFinished(() => dir[Symbol.asyncDispose]());
  return dir.path;
}

/** Asks one planner that answers so; the rules stand behind it. */
async function ask(
  protocol: Protocol,
  script: Reply[],
  more: Partial<PlannerEntry> = {},
  withinMs?: number,
) {
  const server = await ModelServer.open(...script);
  onTestFinished(() => server[Symbol.asyncDispose]());
  const settings = planner(protocol, server, keyFile(await freshDir()), more);
  const { planners, log } = plannersOf([settings], withinMs);
  const made = await planners.plan(await wordsFor('build'), {
    signal: new AbortController().signal,
  });
  return { made, server, log, first: made.tried[0] as Tried };
}

describe.each(protocols)('$kind', (protocol) => {
  test('a silent stream is given up after its idle time, whatever the SDK waits for', async () => {
    const silent = begins(protocol, '{"assump', { ending: 'silence' });
    const { first, made, server } = await ask(protocol, [silent], { idle: '150ms' as never });
    expect(first.code).toBe('timeout');
    expect(server.asked.length).toBe(2);
    expect(made.plan.planner).toBe('rules');
  });

  test('a server that never even begins to answer is given up as well', async () => {
    const { first } = await ask(protocol, [(answer) => answer.silence()], {
      idle: '100ms' as never,
    });
    expect(first.code).toBe('timeout');
  });

  test('a stream that drips is ended by the deadline, however alive it looks', async () => {
    const drip = begins(protocol, sound, { pieceBytes: 3, pauseMs: 20 });
    const { first, made } = await ask(protocol, [drip], {}, 400);
    expect(first.code).toBe('timeout');
    expect(made.plan.planner).toBe('rules');
  });

  test('a clean end without the final event is no answer, even with a whole plan before it', async () => {
    const { first, server } = await ask(protocol, [begins(protocol, sound)]);
    expect(first.code).toBe('network');
    // Once more, and that was it: the SDK itself tried nothing again.
    expect(server.asked.length).toBe(2);
  });

  test('a connection cut in the middle is tried once more, and then the plan is taken', async () => {
    const { made, first } = await ask(protocol, [
      begins(protocol, '{"assumptions', { ending: 'cut' }),
      says(protocol, sound),
    ]);
    expect(made.plan.planner).toBe(protocol.kind);
    expect(first).toMatchObject({ code: 'ok', rounds: 2 });
  });

  test('a Retry-After of an hour is not slept through: the next planner has the plan', async () => {
    const busy = status(429, { error: { type: 'rate_limit_error' } }, { 'retry-after': '3600' });
    const { first, made, server } = await ask(protocol, [busy]);
    expect(first).toMatchObject({ code: 'rate_limit', rounds: 1 });
    expect(server.asked.length).toBe(1);
    expect(made.plan.planner).toBe('rules');
  });

  test('a Retry-After within the deadline is kept, and x-should-retry changes nothing', async () => {
    const busy = status(429, {}, { 'retry-after-ms': '30', 'x-should-retry': 'true' });
    const { made, server } = await ask(protocol, [busy, says(protocol, sound)]);
    expect(made.plan.planner).toBe(protocol.kind);
    expect(server.asked.length).toBe(2);
  });

  test('a refusal is told as one and not asked again', async () => {
    const { first, server } = await ask(protocol, [stream(protocol.refuse())]);
    expect(first.code).toBe('refusal');
    expect(server.asked.length).toBe(1);
  });

  test('an answer cut at its limit is asked for once more with twice the room', async () => {
    const cut = says(protocol, { text: sound.slice(0, 40), stop: protocol.truncated });
    const { first, server } = await ask(protocol, [cut], { output_tokens: 1000 });
    expect(first).toMatchObject({ code: 'truncated', rounds: 2 });
    const room = server.asked.map(({ body }) => body['max_tokens'] ?? body['max_output_tokens']);
    expect(room).toEqual([1000, 2000]);
    expect(first.outputTokens).toBe(100);
  });

  test('a cut answer whose text is a whole plan by chance is not taken for one', async () => {
    const cut = says(protocol, { text: sound, stop: protocol.truncated });
    const { made } = await ask(protocol, [cut]);
    expect(made.plan.planner).toBe('rules');
  });

  test('a plan in a fence, after thoughts, or twice the same is read', async () => {
    for (const text of [
      `Here it is:\n\`\`\`json\n${sound}\n\`\`\`\nGood luck!`,
      `<think>{"tasks": "no"} hmm</think>\n${sound}`,
      sound + sound,
    ]) {
      const { made } = await ask(protocol, [says(protocol, text)]);
      expect(made.plan.planner).toBe(protocol.kind);
    }
  });

  test('two different plans in one answer are none', async () => {
    const two = says(protocol, sound + saidPlan({ args: ['run', 'test'] }));
    const { first } = await ask(protocol, [two]);
    expect(first).toMatchObject({ code: 'invalid', rounds: 3 });
  });

  test('a used-up quota is billing, asked once', async () => {
    const gone = status(429, { error: { type: 'insufficient_quota', code: 'insufficient_quota' } });
    const { first, server } = await ask(protocol, [gone]);
    expect(first.code).toBe('billing');
    expect(server.asked.length).toBe(1);
    expect(
      (await ask(protocol, [status(402, { error: { type: 'billing_error' } })])).first.code,
    ).toBe('billing');
  });

  test('a server that breaks in the middle of its stream is overloaded, tried once more', async () => {
    const { first, server } = await ask(protocol, [stream(protocol.broken())]);
    expect(first.code).toBe('overloaded');
    expect(server.asked.length).toBe(2);
  });

  test('529, 503 and 500 are overload, 401 and 403 the key, 404 and 400 the question', async () => {
    const pause = { 'retry-after-ms': '5' };
    for (const [code, word] of [
      [529, 'overloaded'],
      [503, 'overloaded'],
      [500, 'overloaded'],
      [401, 'auth'],
      [403, 'auth'],
      [404, 'config'],
      [400, 'config'],
    ] as const) {
      expect((await ask(protocol, [status(code, {}, pause)])).first.code, `${code}`).toBe(word);
    }
  });

  test('another schema than the one asked for is said back, twice, and then given up', async () => {
    const other = says(protocol, '{"tasks": [{"name": "build", "image": "evil"}]}');
    const { first, server } = await ask(protocol, [other]);
    expect(first).toMatchObject({ code: 'invalid', rounds: 3 });
    const last = JSON.stringify(server.asked[2]?.body);
    expect(last).toContain('unknown key');
    expect(last).toContain('missing key id');
  });

  test('an answer without end is cut off', async () => {
    const endless: Reply = async (answer) => {
      answer.head(200, { 'content-type': 'text/event-stream' });
      for (const event of protocol.begin({ text: '' })) await answer.bytes(event);
      const word = protocol.word('x'.repeat(64 * 1024));
      while (!answer.signal.aborted) await answer.bytes(word);
    };
    expect((await ask(protocol, [endless])).first.code).toBe('too_large');
  });

  test('bytes without end that are no answer at all are cut off', async () => {
    const noise: Reply = async (answer) => {
      answer.head(200, { 'content-type': 'text/event-stream' });
      const piece = Buffer.alloc(1024 * 1024, ': keep-alive\n');
      while (!answer.signal.aborted) await answer.bytes(piece);
    };
    expect((await ask(protocol, [noise])).first.code).toBe('too_large');
  });

  test('an error page without end is cut off', async () => {
    const page: Reply = async (answer) => {
      answer.head(500, { 'content-type': 'text/html', 'retry-after-ms': '5' });
      const piece = Buffer.alloc(1024 * 1024, '<p>');
      while (!answer.signal.aborted) await answer.bytes(piece);
    };
    const { made } = await ask(protocol, [page]);
    expect(made.plan.planner).toBe('rules');
  });

  test('pieces that end within a character or an event make no difference', async () => {
    const plan = saidPlan({ title: 'Bauen für Größe 1 – 🏗', args: ['run', 'build'] });
    for (const pieceBytes of [1, 5]) {
      const { made } = await ask(protocol, [says(protocol, plan, { pieceBytes })]);
      expect(made.plan.tasks[0]?.title).toBe('Bauen für Größe 1 – 🏗');
    }
  });

  test('what is not UTF-8 is no answer, not one with marks in it', async () => {
    const bad: Reply = async (answer) => {
      answer.head(200, { 'content-type': 'text/event-stream' });
      for (const event of protocol.begin({ text: '' })) await answer.bytes(event);
      await answer.bytes(Buffer.from(protocol.word('\u00ff'), 'latin1'));
      for (const event of protocol.finish({ text: '' })) await answer.bytes(event);
      answer.end();
    };
    expect((await ask(protocol, [bad])).first.code).toBe('invalid');
  });

  test('an event that is no JSON ends the answer', async () => {
    const broken = stream([...protocol.begin({ text: '' }), 'event: message_stop\ndata: {"x"\n\n']);
    const { made } = await ask(protocol, [broken]);
    expect(made.plan.planner).toBe('rules');
  });

  test('huge headers are a broken connection', async () => {
    const headers = { 'retry-after-ms': '5', 'x-huge': 'x'.repeat(64 * 1024) };
    const { first } = await ask(protocol, [says(protocol, sound, { headers })]);
    expect(first.code).toBe('network');
  });

  test('nobody there is a broken connection', async () => {
    const server = await ModelServer.open();
    const { origin } = server;
    await server[Symbol.asyncDispose]();
    const settings = planner(protocol, { origin }, keyFile(await freshDir()));
    const { planners } = plannersOf([settings]);
    const made = await planners.plan(await wordsFor('build'), {
      signal: new AbortController().signal,
    });
    expect(made.tried[0]?.code).toBe('network');
  });

  test('a redirection is not followed: neither key nor question go to another host', async () => {
    const seen: unknown[] = [];
    const other = createServer((request, response) => {
      seen.push(request.headers);
      response.end();
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const location = `http://127.0.0.1:${(other.address() as AddressInfo).port}/v1/elsewhere`;
    for (const code of [301, 302, 307, 308]) {
      const { first } = await ask(protocol, [status(code, {}, { location })]);
      expect(first.code).toBe('config');
    }
    expect(seen).toEqual([]);
  });

  test('the question goes where the protocol has it, with the key as bearer and nothing of the machine', async () => {
    const { server } = await ask(protocol, [says(protocol, sound)]);
    const [asked] = server.asked;
    expect(asked).toMatchObject({ method: 'POST', path: protocol.path });
    expect(asked?.headers['authorization']).toBe(`Bearer ${testKey}`);
    expect(asked?.headers['anthropic-version']).toBe(
      protocol.kind === 'anthropic' ? '2026-10-21' : undefined,
    );
    const known =
      /^(host|connection|user-agent|accept|content-type|content-length|authorization|anthropic-version|accept-language|sec-fetch-mode|accept-encoding)$/;
    expect(Object.keys(asked?.headers ?? {}).filter((name) => !known.test(name))).toEqual([]);
    expect(asked?.headers['user-agent']).toBe('orchestra');
    expect(JSON.stringify(asked?.body)).not.toContain(testKey);
  });

  test('no proxy of headers, addresses or keys comes in by the environment', async () => {
    const set = {
      ANTHROPIC_BASE_URL: 'http://127.0.0.1:9',
      ANTHROPIC_API_KEY: 'sk-of-the-environment',
      ANTHROPIC_AUTH_TOKEN: 'of-the-environment',
      ANTHROPIC_CUSTOM_HEADERS: 'x-leak: 1\nauthorization: Bearer leaked',
      ANTHROPIC_LOG: 'debug',
      OPENAI_BASE_URL: 'http://127.0.0.1:9',
      OPENAI_API_KEY: 'sk-of-the-environment',
      OPENAI_ADMIN_KEY: 'sk-of-the-environment',
      OPENAI_ORG_ID: 'org-leak',
      OPENAI_PROJECT_ID: 'project-leak',
      OPENAI_CUSTOM_HEADERS: 'x-leak: 1\nauthorization: Bearer leaked',
      OPENAI_LOG: 'debug',
    };
    const before = Object.keys(set).map((name) => [name, process.env[name]] as const);
    onTestFinished(() => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    });
    Object.assign(process.env, set);
    const { made, server } = await ask(protocol, [says(protocol, sound)]);
    expect(made.plan.planner).toBe(protocol.kind);
    expect(server.asked[0]?.headers['authorization']).toBe(`Bearer ${testKey}`);
    expect(JSON.stringify(server.asked[0]?.headers)).not.toMatch(/leak|environment/);
  });

  test('a question is streamed, stored nowhere, and asks for nothing that providers took away', async () => {
    const { server } = await ask(protocol, [says(protocol, sound)], { output_tokens: 64_000 });
    const body = server.asked[0]?.body ?? {};
    expect(body['stream']).toBe(true);
    for (const gone of ['temperature', 'top_p', 'top_k', 'tools', 'metadata', 'user']) {
      expect(body, gone).not.toHaveProperty(gone);
    }
    if (protocol.kind === 'openai') expect(body['store']).toBe(false);
    expect(JSON.stringify(body)).toContain('"additionalProperties":false');
    expect(body['max_tokens'] ?? body['max_output_tokens']).toBe(64_000);
  });
});

test('tokens that came from a cache or went to one count as well', async () => {
  const [anthropic] = protocols;
  if (anthropic === undefined) throw new Error('no protocol');
  const [start = '', ...rest] = anthropic.begin({ text: '' });
  const usage = {
    input_tokens: 10,
    cache_creation_input_tokens: 200,
    cache_read_input_tokens: 3_000,
  };
  const cached = start.replace(
    '"usage":{"input_tokens":100',
    `"usage":${JSON.stringify(usage).slice(0, -1)}`,
  );
  const events = [cached, ...rest, anthropic.word(sound), ...anthropic.finish({ text: '' })];
  const { first } = await ask(anthropic, [stream(events)]);
  expect(first).toMatchObject({ inputTokens: 3_210, outputTokens: 50 });
});

test('the shapes that the scripted server speaks are those of the SDKs that are installed', async () => {
  const installed = await Promise.all(
    ['@anthropic-ai/sdk/version', 'openai/version'].map(
      async (name) => ((await import(name)) as { VERSION: string }).VERSION,
    ),
  );
  // With another version: look at its changelog, at test/support/model-server.ts, then here.
  expect(installed).toEqual(['1.12.0', '7.57.0']);
});
