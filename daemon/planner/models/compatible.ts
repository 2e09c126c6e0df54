import { AnswerText, count } from './answer-text.ts';
import type { ApiKey } from './key.ts';
import type { Answer, Model, Question, Remembered } from './model.ts';
import { openaiClient } from './openai.ts';
import type { ModelSettings } from './settings.ts';
import { ModelTrouble, troubleOf, type Usage } from './trouble.ts';
import type { Watch } from './watched.ts';

const ways = ['schema', 'object', 'text'] as const;
type Way = (typeof ways)[number];

/**
 * Servers that speak Chat Completions: Ollama, vLLM, llama.cpp and their like. They differ in how
 * far an answer can be held to a shape; a server that does not take the question is asked again
 * with less, and what it took is remembered.
 */
export function compatibleModel(
  settings: ModelSettings,
  key: ApiKey | undefined,
  remembered: Remembered,
): Model {
  return {
    async ask(question, watch) {
      const way = settings.answer ?? remembered.answer ?? 'schema';
      try {
        return await askOnce(settings, key, way, question, watch);
      } catch (error) {
        const trouble = troubleOf(error);
        if (watch.signal.aborted || trouble.code !== 'config') throw error;
        const next = settings.answer === undefined ? ways[ways.indexOf(way) + 1] : undefined;
        // After the last one it was something else, and the first is as good as any.
        if (next === undefined) delete remembered.answer;
        else remembered.answer = next;
        throw new ModelTrouble('config', trouble.message, { hasOtherWay: next !== undefined });
      }
    },
  };
}

async function askOnce(
  settings: ModelSettings,
  key: ApiKey | undefined,
  way: Way,
  { system, turns, schema, outputTokens }: Question,
  watch: Watch,
): Promise<Answer> {
  // Where nothing holds the answer to the shape, words have to.
  const shape =
    way === 'schema' ? '' : `\n\nThe JSON schema of the answer:\n${JSON.stringify(schema)}`;
  const stream = await openaiClient(settings, key, watch).chat.completions.create(
    {
      model: settings.model,
      messages: [
        { role: 'system', content: `${system}${shape}` },
        ...turns.map(({ role, text }) => ({ role, content: text })),
      ],
      max_tokens: outputTokens,
      stream: true,
      ...(way === 'text' ? {} : { stream_options: { include_usage: true } }),
      ...(way === 'schema'
        ? {
            response_format: {
              type: 'json_schema' as const,
              json_schema: { name: 'plan', schema: { ...schema }, strict: true },
            },
          }
        : way === 'object'
          ? { response_format: { type: 'json_object' as const } }
          : {}),
    },
    { signal: watch.signal },
  );
  const answer = new AnswerText();
  const usage: Usage = { inputTokens: 0, outputTokens: 0 };
  let reason: string | undefined;
  let refused = false;
  for await (const chunk of stream) {
    const choice = chunk.choices?.[0];
    answer.add(choice?.delta?.content);
    if (choice?.delta?.refusal) refused = true;
    reason = choice?.finish_reason ?? reason;
    usage.inputTokens = Math.max(usage.inputTokens, count(chunk.usage?.prompt_tokens));
    usage.outputTokens = Math.max(usage.outputTokens, count(chunk.usage?.completion_tokens));
  }
  watch.signal.throwIfAborted();
  if (reason === undefined) throw new ModelTrouble('network', 'the answer ended in the middle');
  if (refused || reason === 'content_filter') {
    throw new ModelTrouble('refusal', 'it refused', { usage });
  }
  if (reason === 'length') {
    throw new ModelTrouble('truncated', 'the answer was cut at its limit', { usage });
  }
  return { text: answer.text, usage };
}
