import OpenAI from 'openai';
import { AnswerText, count } from './answer-text.ts';
import { guardedFetch } from './guarded-fetch.ts';
import type { ApiKey } from './key.ts';
import { answerBytesMax, type Model } from './model.ts';
import type { ModelSettings } from './settings.ts';
import { ModelTrouble, troubleOf, type Usage } from './trouble.ts';
import type { Watch } from './watched.ts';

/** The Responses API, streamed, with nothing kept there. */
export function openaiModel(settings: ModelSettings, key: ApiKey | undefined): Model {
  const { model, effort } = settings;
  return {
    async ask({ system, turns, schema, outputTokens }, watch) {
      const stream = await openaiClient(settings, key, watch).responses.create(
        {
          model,
          instructions: system,
          input: turns.map(({ role, text }) => ({ role, content: text })),
          text: {
            format: { type: 'json_schema', name: 'plan', schema: { ...schema }, strict: true },
          },
          max_output_tokens: outputTokens,
          store: false,
          stream: true,
          ...(effort === undefined ? {} : { reasoning: { effort } }),
        },
        { signal: watch.signal },
      );
      const answer = new AnswerText();
      let refused = false;
      let end: End | undefined;
      for await (const event of stream) {
        if (event.type === 'response.output_text.delta') answer.add(event.delta);
        else if (event.type.startsWith('response.refusal.')) refused = true;
        else if (ends.includes(event.type)) end = (event as { response?: End }).response;
        else if (event.type === 'error') throw troubleOf(event);
      }
      watch.signal.throwIfAborted();
      if (end === undefined) throw new ModelTrouble('network', 'the answer ended in the middle');
      const usage = usedBy(end);
      judgeEnd(end, refused, usage);
      return { text: answer.text, usage };
    },
  };
}

type End = {
  status?: string | null;
  incomplete_details?: { reason?: string } | null;
  error?: { code?: string } | null;
  usage?: { input_tokens?: number; output_tokens?: number } | null;
};

const ends: readonly string[] = ['response.completed', 'response.incomplete', 'response.failed'];

function usedBy({ usage }: End): Usage {
  return {
    inputTokens: count(usage?.input_tokens),
    outputTokens: count(usage?.output_tokens),
  };
}

function judgeEnd(end: End, refused: boolean, usage: Usage): void {
  const reason = end.incomplete_details?.reason;
  if (refused || reason === 'content_filter') {
    throw new ModelTrouble('refusal', 'it refused', { usage });
  }
  if (reason === 'max_output_tokens') {
    throw new ModelTrouble('truncated', 'the answer was cut at its limit', { usage });
  }
  if (end.status === 'failed') {
    const code = end.error?.code ?? '';
    const found = /rate_limit/.test(code)
      ? new ModelTrouble('rate_limit', code)
      : troubleOf({ code });
    throw new ModelTrouble(found.code, 'it failed in the middle of its answer', { usage });
  }
  if (end.status !== 'completed') {
    throw new ModelTrouble('invalid', 'it stopped for a reason that no plan has', { usage });
  }
}

/** A client that knows nothing but what it is given here, whatever the environment says. */
export function openaiClient(
  { baseUrl }: Pick<ModelSettings, 'baseUrl'>,
  key: ApiKey | undefined,
  watch: Watch,
): OpenAI {
  return new OpenAI({
    // It wants one; where there is none, the guard sends none.
    apiKey: key?.text ?? 'none',
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    baseURL: baseUrl.href.replace(/\/$/, ''),
    maxRetries: 0,
    timeout: 2 ** 31 - 1,
    logLevel: 'off',
    fetch: guardedFetch({
      baseUrl,
      authorization: key && `Bearer ${key.text}`,
      answerBytesMax,
      alive: watch.alive,
    }),
  });
}
