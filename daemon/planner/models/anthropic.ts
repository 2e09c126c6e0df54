import Anthropic from '@anthropic-ai/sdk';
import { AnswerText, count } from './answer-text.ts';
import { guardedFetch } from './guarded-fetch.ts';
import type { ApiKey } from './key.ts';
import { answerBytesMax, type Model } from './model.ts';
import type { ModelSettings } from './settings.ts';
import { ModelTrouble, type Usage } from './trouble.ts';

/** The Messages API, streamed. */
export function anthropicModel(settings: ModelSettings, key: ApiKey | undefined): Model {
  const { baseUrl, model, effort } = settings;
  return {
    async ask({ system, turns, schema, outputTokens }, watch) {
      const client = new Anthropic({
        apiKey: key?.text ?? '',
        baseURL: baseUrl.href,
        // It would sleep for as long as the server says, days if need be.
        maxRetries: 0,
        timeout: 2 ** 31 - 1,
        // What the environment says of any of these counts for nothing.
        webhookKey: null,
        logLevel: 'off',
        openTelemetry: false,
        fetch: guardedFetch({
          baseUrl,
          authorization: key && `Bearer ${key.text}`,
          answerBytesMax,
          alive: watch.alive,
        }),
      });
      const stream = await client.messages.create(
        {
          model,
          max_tokens: outputTokens,
          system,
          messages: turns.map(({ role, text }) => ({ role, content: text })),
          output_config: {
            format: { type: 'json_schema', schema: { ...schema } },
            ...(effort === undefined ? {} : { effort }),
          },
          stream: true,
        },
        { signal: watch.signal },
      );
      const answer = new AnswerText();
      const usage: Usage = { inputTokens: 0, outputTokens: 0 };
      let stopped: string | null = null;
      let isOver = false;
      for await (const event of stream) {
        if (event.type === 'message_start') {
          Object.assign(usage, used(usage, event.message?.usage));
        } else if (event.type === 'content_block_delta' && event.delta?.type === 'text_delta') {
          answer.add(event.delta.text);
        } else if (event.type === 'message_delta') {
          stopped = event.delta?.stop_reason ?? stopped;
          Object.assign(usage, used(usage, event.usage));
        } else if (event.type === 'message_stop') {
          isOver = true;
        }
      }
      watch.signal.throwIfAborted();
      // A stream that just ends looks to the SDK like one that is over.
      if (!isOver) throw new ModelTrouble('network', 'the answer ended in the middle', { usage });
      judgeStop(stopped, usage);
      return { text: answer.text, usage };
    },
  };
}

type UsageLike = {
  input_tokens?: number | null;
  output_tokens?: number | null;
  cache_creation_input_tokens?: number | null;
  cache_read_input_tokens?: number | null;
};

// What comes later counts for all that came before it, and may leave out what has not changed.
function used(before: Usage, found: UsageLike | null | undefined): Usage {
  const input =
    count(found?.input_tokens) +
    count(found?.cache_creation_input_tokens) +
    count(found?.cache_read_input_tokens);
  return {
    inputTokens: Math.max(before.inputTokens, input),
    outputTokens: Math.max(before.outputTokens, count(found?.output_tokens)),
  };
}

function judgeStop(reason: string | null, usage: Usage): void {
  if (reason === 'end_turn') return;
  if (reason === 'refusal') throw new ModelTrouble('refusal', 'it refused', { usage });
  if (reason === 'max_tokens' || reason === 'model_context_window_exceeded') {
    throw new ModelTrouble('truncated', 'the answer was cut at its limit', { usage });
  }
  throw new ModelTrouble('invalid', 'it stopped for a reason that no plan has', { usage });
}
