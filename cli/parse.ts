import { Command, CommanderError, Option } from 'commander';
import { OrchestraError } from '#contract/errors.ts';
import type { CommandSpec, OptionSpec } from './command-spec.ts';
import { commands, globalOptions, leaves } from './commands.ts';
import type { Command as Run, Options } from './context.ts';
import { nearestWord } from './nearest.ts';

export type Parsed =
  | { kind: 'text'; text: string; options: Options }
  | { kind: 'command'; command: { load: () => Promise<Run> }; args: string[]; options: Options };

/** Turns the words of a command line into a command, or into a text to print. Throws `usage.invalid`. */
export function parseArguments(argv: readonly string[]): Parsed {
  let found: Parsed | undefined;
  let written = '';
  const program = buildProgram(
    (parsed) => {
      found = parsed;
    },
    (text) => {
      written += text;
    },
  );
  if (argv.length === 0) return text(fullHelp(program), argv);
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return text(written, argv);
    throw error.code === 'commander.help' ? missingCommand(argv) : usageError(error, argv);
  }
  return found ?? text(fullHelp(program), argv);
}

// With the text that stands after the options, which `helpInformation` leaves out.
function fullHelp(program: Command): string {
  let help = '';
  program.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return help;
}

/** The help of a command by its words; undefined when there is no such command. */
export function helpOf(words: readonly string[]): string | undefined {
  let at: Command = buildProgram(
    () => undefined,
    () => undefined,
  );
  for (const word of words) {
    const next = at.commands.find((each) => each.name() === word || each.aliases().includes(word));
    if (next === undefined) return undefined;
    at = next;
  }
  return fullHelp(at);
}

type Found = (parsed: Parsed) => void;

function buildProgram(found: Found, write: (text: string) => void): Command {
  const program = new Command('orchestra')
    .description('Runs plans that nobody has reason to trust, and leaves a record.')
    .option('--version', 'the version')
    .addHelpText(
      'after',
      '\nRUN is an id, a unique part of its beginning, @last or @last-failed.\n' +
        'First steps: orchestra doctor, orchestra run "Build and test"',
    );
  program.enablePositionalOptions();
  prepare(program, write);
  addOptions(program, globalOptions);
  addCommands(program, commands, found, write);
  return program;
}

function addCommands(
  parent: Command,
  specs: readonly CommandSpec[],
  found: Found,
  write: (text: string) => void,
): void {
  for (const spec of specs) {
    const command = new Command(spec.name).description(spec.text);
    if (parent.parent === null) command.helpGroup(`${spec.group}:`);
    if (spec.alias !== undefined) command.alias(spec.alias);
    prepare(command, write);
    parent.addCommand(command);
    if (spec.children !== undefined) {
      command.enablePositionalOptions();
      addCommands(command, spec.children, found, write);
      if (spec.load === undefined) continue;
    }
    for (const argument of (spec.args ?? '').split(' ').filter((each) => each !== '')) {
      command.argument(argument);
    }
    addOptions(command, spec.options ?? []);
    addOptions(command, globalOptions, true);
    if (spec.more !== undefined) command.addHelpText('after', `\n${spec.more}`);
    // What follows the first word of the other command is that command's.
    if (spec.name === 'exec') command.passThroughOptions();
    const load = spec.load;
    if (load === undefined) throw new Error(`the command ${spec.name} does nothing`);
    command.action(() => {
      found({
        kind: 'command',
        command: { load },
        args: command.args,
        options: optionsOf(command),
      });
    });
  }
}

function prepare(command: Command, write: (text: string) => void): void {
  command
    .exitOverride()
    .helpCommand(false)
    .helpOption('-h, --help', 'this help')
    .showSuggestionAfterError()
    .allowExcessArguments(false)
    .configureOutput({ writeOut: write, writeErr: () => undefined });
}

function addOptions(command: Command, specs: readonly OptionSpec[], hidden = false): void {
  for (const spec of specs) {
    const option = new Option(spec.flags, spec.text);
    // `--no-color` has the default `true`, which would hide what was said one level above.
    option.defaultValue = undefined;
    if (spec.isRepeated === true) {
      option.argParser((one: string, before?: string[]) => [...(before ?? []), one]);
    }
    command.addOption(hidden ? option.hideHelp() : option);
  }
}

// The nearest word counts: what is said after the command, then what is said before it.
function optionsOf(command: Command): Options {
  const said = (at: Command) =>
    Object.fromEntries(
      Object.entries(at.opts()).filter(([name]) => at.getOptionValueSource(name) === 'cli'),
    );
  const above = command.parent === null ? {} : optionsOf(command.parent);
  return { ...above, ...said(command) };
}

function text(written: string, argv: readonly string[]): Parsed {
  return { kind: 'text', text: written, options: { json: argv.includes('--json') } };
}

function missingCommand(argv: readonly string[]): OrchestraError {
  return new OrchestraError('usage.invalid', `orchestra ${argv.join(' ')} needs one more word`, {
    hint: `orchestra help ${argv.filter((word) => !word.startsWith('-')).join(' ')}`.trimEnd(),
  });
}

function usageError(error: CommanderError, argv: readonly string[]): OrchestraError {
  const [first = '', ...rest] = error.message
    .replace(/^error: /, '')
    // Not the arguments themselves: one may be a secret that belongs on standard input.
    .replace(/(but got \d+): [^]*$/, '$1')
    .split('\n');
  const meant = rest.join(' ').replace(/^\(|\)$/g, '') || likelyFlag(first, argv);
  return new OrchestraError(
    'usage.invalid',
    first.replace(/^./, (c) => c.toUpperCase()),
    {
      hint: meant ?? `orchestra help ${commandWords(argv).join(' ')}`.trimEnd(),
      cause: error,
    },
  );
}

// The parser looks among the flags that a command's help shows; the global ones are not there.
function likelyFlag(message: string, argv: readonly string[]): string | undefined {
  const flag = /unknown option '(--[^'=]+)/i.exec(message)?.[1];
  if (flag === undefined) return undefined;
  const here = commandWords(argv).join(' ');
  const own = leaves().find(({ words }) => words.join(' ') === here)?.spec.options ?? [];
  const known = [...own, ...globalOptions].flatMap(
    (option) => option.flags.match(/--[\w-]+/) ?? [],
  );
  const near = nearestWord(flag, known);
  return near === undefined ? undefined : `Did you mean ${near}?`;
}

/** The leading words that name a command. */
function commandWords(argv: readonly string[]): string[] {
  const found: string[] = [];
  let specs: readonly CommandSpec[] = commands;
  for (const word of argv) {
    const spec = specs.find((each) => each.name === word || each.alias === word);
    if (spec === undefined) continue;
    found.push(spec.name);
    specs = spec.children ?? [];
    if (specs.length === 0) break;
  }
  return found;
}
