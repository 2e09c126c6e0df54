import type { ApiKey } from './key.ts';
import type { ModelSettings } from './settings.ts';
import type { Usage } from './trouble.ts';
import type { Watch } from './watched.ts';

export type Turn = { role: 'user' | 'assistant'; text: string };

export type JsonSchema = { readonly [key: string]: unknown };

export type Question = {
  system: string;
  turns: readonly Turn[];
  /** What the answer has to look like, where the provider can be held to it. */
  schema: JsonSchema;
  outputTokens: number;
};

export type Answer = { text: string; usage: Usage };

/**
 * One question to one provider. Resolves only with an answer that the provider itself called
 * complete; throws a `ModelTrouble` or what its SDK throws. Tries once: whoever asks decides about
 * trying again.
 */
export interface Model {
  ask(question: Question, watch: Watch): Promise<Answer>;
}

/** The SDKs are loaded when the first question is asked: a start does not pay for them. */
export async function openModel(
  settings: ModelSettings,
  key: ApiKey | undefined,
  remembered: Remembered,
): Promise<Model> {
  switch (settings.kind) {
    case 'anthropic':
      return (await import('./anthropic.ts')).anthropicModel(settings, key);
    case 'openai':
      return (await import('./openai.ts')).openaiModel(settings, key);
    case 'compatible':
      return (await import('./compatible.ts')).compatibleModel(settings, key, remembered);
  }
}

/** What was found out about a server, kept from one question to the next. */
export type Remembered = { answer?: 'schema' | 'object' | 'text' };

/** As it comes over the wire: each word of an answer is an event of some hundred bytes. */
export const answerBytesMax = 16 * 1024 * 1024;
