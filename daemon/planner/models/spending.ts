import type { ModelSettings } from './settings.ts';
import { ModelTrouble, type Usage } from './trouble.ts';

/**
 * What one plan may still use of a planner's budget. A question is asked only if its worst case
 * fits: its input, guessed from above, and the longest answer that it allows.
 */
export class Spending {
  readonly #settings: Pick<ModelSettings, 'budget' | 'price'>;
  readonly used: Usage = { inputTokens: 0, outputTokens: 0 };

  constructor(settings: Pick<ModelSettings, 'budget' | 'price'>) {
    this.#settings = settings;
  }

  /** The longest answer that may be asked for, `wanted` at most; throws where none is worth it. */
  outputTokens(promptBytes: number, wanted: number): number {
    const input = tokensAtMost(promptBytes);
    const { budget, price } = this.#settings;
    const limits = [wanted];
    if (budget.tokens !== undefined) {
      limits.push(budget.tokens - this.used.inputTokens - this.used.outputTokens - input);
    }
    if (budget.costMicro !== undefined && price !== undefined) {
      const left = budget.costMicro - this.costMicro - input * price.input;
      limits.push(price.output > 0 ? left / price.output : left < 0 ? 0 : wanted);
    }
    const most = Math.floor(Math.min(...limits));
    if (most < leastAnswer) {
      throw new ModelTrouble('budget', 'what is left of its budget is too little for an answer');
    }
    return most;
  }

  /** Where the provider did not say, what it must have been at least counts. */
  add(usage: Usage | undefined, promptBytes: number): void {
    const told = usage !== undefined && usage.inputTokens + usage.outputTokens > 0;
    this.used.inputTokens += told ? usage.inputTokens : tokensAtMost(promptBytes);
    this.used.outputTokens += told ? usage.outputTokens : 0;
  }

  /** Millionths of the currency of the price, 0 where there is none. */
  get costMicro(): number {
    const { price } = this.#settings;
    if (price === undefined) return 0;
    return Math.ceil(this.used.inputTokens * price.input + this.used.outputTokens * price.output);
  }
}

const leastAnswer = 256;

// Three bytes a token is more tokens than any of today's models make of JSON and English.
function tokensAtMost(bytes: number): number {
  return Math.ceil(bytes / 2.5);
}
