import type { JsonSchema } from './model.ts';

/**
 * What a model may say, as every provider takes it: objects closed, every key required, nullable in
 * place of optional, no bounds and no patterns (one provider turns them into words, the other
 * refuses some, and grammars of local servers choke on them). The validator enforces all of them.
 *
 * There are no words for images, mounts, users, networks, secrets, limits other than time, locks.
 */
export function draftSchema(tools: readonly string[]): JsonSchema {
  return object({
    assumptions: list(text('What the plan takes for granted, a sentence each; 10 at most.')),
    tasks: list(
      object({
        id: text('Lower-case letters, digits and "-", begins with a letter, 48 at most, unique.'),
        title: text('What it does, 120 characters at most, one line.'),
        why: text('Why it is there, 300 characters at most, one line.'),
        tool: { type: 'string', enum: [...tools] },
        args: list(text('One argument. There is no shell between this and the program.')),
        env: list(object({ name: text('NAME'), value: text('Its value.') })),
        cwd: text('Directory in the workspace, relative; "." for its top.'),
        deps: list(text('Id of a task that has to succeed first.')),
        inputs: list(text('Glob of files that alone it may see; leave empty for all of them.')),
        outputs: list(
          object({
            name: text('Spelled like an id.'),
            path: text('File or directory that it makes, relative to the workspace.'),
            required: { type: 'boolean' },
          }),
        ),
        side_effects: { type: 'boolean', description: 'It changes something beside its files.' },
        retries: nullable('integer', 'Further attempts if it fails, 0 to 10; null for none said.'),
        timeout_seconds: nullable('integer', 'Time for it, null for the longest allowed.'),
        on_failure: { type: 'string', enum: ['stop', 'continue'] },
      }),
    ),
  });
}

function object(properties: Record<string, JsonSchema>): JsonSchema {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items };
}

function text(description: string): JsonSchema {
  return { type: 'string', description };
}

function nullable(type: string, description: string): JsonSchema {
  return { anyOf: [{ type }, { type: 'null' }], description };
}
