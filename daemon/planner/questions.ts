import type { Finding, PlanDraft } from '#contract/plan.ts';
import { answerProblem } from '#contract/requests.ts';
import { quoted } from '../base/schema-issues.ts';

const questionsMax = 64;

/**
 * What is wrong with the questions of a plan. They are shown on the terminals of people, so they are
 * one line of plain text; their names are how they are answered, so each is there once.
 */
export function findQuestionTroubles(draft: PlanDraft): Finding[] {
  const findings: Finding[] = [];
  const asked = new Map<string, string>();
  const secrets = new Set<string>(draft.tasks.flatMap((task) => task.secrets));
  for (const [i, task] of draft.tasks.entries()) {
    for (const [j, question] of task.questions.entries()) {
      const { name, prompt, kind, choices = [], default: usual } = question;
      const add = (message: string, where = '') =>
        findings.push({
          code: 'schema',
          task: task.id,
          pointer: `/tasks/${i}/questions/${j}${where}`,
          message: `${task.id}: ${message}`,
        });
      const other = asked.get(name);
      if (other !== undefined) add(`the question ${name} is asked by ${other} already`, '/name');
      asked.set(name, task.id);
      if (secrets.has(name)) add(`${name} is the name of a secret of the plan`, '/name');
      if (!isLine(prompt)) add(`the prompt of ${name} holds a control character`, '/prompt');
      if (new Set(choices).size < choices.length) add(`${name} names a choice twice`, '/choices');
      for (const choice of choices) {
        if (!isLine(choice)) add(`a choice of ${name} holds a control character`, '/choices');
      }
      const why = usual === undefined ? undefined : answerProblem({ kind, choices }, usual);
      if (why !== undefined)
        add(`the default ${quoted(usual ?? '')} of ${name} ${why}`, '/default');
    }
  }
  if (asked.size > questionsMax) {
    findings.push({ code: 'too_many', message: `more than ${questionsMax} questions` });
  }
  return findings;
}

// Marks that turn the direction of text would let a question read otherwise than it is.
const turning = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

function isLine(text: string): boolean {
  return text.isWellFormed() && !/\p{Cc}/u.test(text) && !turning.test(text) && text.trim() !== '';
}
