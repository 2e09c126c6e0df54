import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { QuestionName } from '#contract/requests.ts';
import type { Context, Options } from '../context.ts';
import { choiceOption, textOption } from '../options.ts';
import { readTextFile } from '../read-text.ts';
import { canAsk } from '../terminal/ask.ts';
import { parseYaml } from '../yaml-document.ts';

/** What to do where a run waits for people: ask here, wait for them, or leave with exit code 6. */
export const approvalModes = ['ask', 'wait', 'fail'] as const;

export type PeopleSettings = {
  mode: (typeof approvalModes)[number];
  /** Answers that were given beforehand, by question. */
  answers: ReadonlyMap<string, string>;
  /** Which of them came as arguments, which every user of the machine can read. */
  spoken: ReadonlySet<string>;
};

const answersBytesMax = 256 * 1024;
const AnswersFile = z.record(QuestionName, z.union([z.string(), z.number(), z.boolean()]));

export async function peopleSettings(context: Context, options: Options): Promise<PeopleSettings> {
  const asked = choiceOption(options, 'approval', approvalModes);
  if (asked === 'ask' && !canAsk(context)) {
    throw new OrchestraError('usage.invalid', 'There is no terminal to ask on', {
      hint: '--approval wait, or --approval fail',
    });
  }
  const answers = new Map<string, string>();
  const file = textOption(options, 'answers');
  if (file !== undefined) {
    for (const [name, value] of Object.entries(await readAnswers(file))) {
      answers.set(name, typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value));
    }
  }
  const spoken = new Set<string>();
  const given = options['answer'];
  for (const text of Array.isArray(given) ? given : typeof given === 'string' ? [given] : []) {
    const [name = '', ...value] = text.split('=');
    if (value.length === 0 || !QuestionName.safeParse(name).success) {
      throw new OrchestraError('usage.invalid', '--answer takes NAME=VALUE', {
        hint: '--answer DEPLOY_TO=staging',
      });
    }
    answers.set(name, value.join('='));
    spoken.add(name);
  }
  return { mode: asked ?? (canAsk(context) ? 'ask' : 'fail'), answers, spoken };
}

async function readAnswers(file: string): Promise<z.infer<typeof AnswersFile>> {
  let text: string;
  try {
    text = await readTextFile(file, { bytesMax: answersBytesMax, code: 'usage.invalid' });
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    throw new OrchestraError('usage.invalid', `The file ${file} cannot be read`, { cause });
  }
  return parseYaml(text, { file, schema: AnswersFile, code: 'usage.invalid' });
}
