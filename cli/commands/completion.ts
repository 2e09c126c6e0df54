import { OrchestraError } from '#contract/errors.ts';
import { recordTypes } from '#contract/records.ts';
import type { CommandSpec, OptionSpec } from '../command-spec.ts';
import { commands, globalOptions, leaves } from '../commands.ts';
import type { Command } from '../context.ts';

export const completion: Command = async ({ print }, [shell = '']) => {
  const make = Object.hasOwn(shells, shell) ? shells[shell] : undefined;
  if (make === undefined) {
    throw new OrchestraError('usage.invalid', `There is no completion for ${shell}`, {
      hint: `choose from ${Object.keys(shells).join(', ')}`,
    });
  }
  const script = make();
  if (print.json) print.object({ shell, script });
  else print.line(script.trimEnd());
  return Promise.resolve(0);
};

const shells: Readonly<Record<string, () => string>> = { bash, zsh, fish };

/** The ids that a shell offers; quiet when no daemon answers. */
const runIds = `orchestra runs --json --limit 50 2>/dev/null | tr ',' '\\n' | sed -n 's/.*"id":"\\(r-[0-9a-z]*\\)".*/\\1/p'`;

function bash(): string {
  return `# orchestra completion for bash; load it with: source <(orchestra completion bash)
_orchestra() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" words="" w i
  local path=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    w="\${COMP_WORDS[i]}"
    case "$w" in -*) continue ;; esac
    path="\${path:+$path }$w"
  done
  case "$prev" in
${valueCases()
  .map(({ flags, action }) => `    ${flags.join('|')}) ${action}; return ;;`)
  .join('\n')}
  esac
  case "$path" in
    "") words="${names(commands)} ${flags(globalOptions)}" ;;
${groups()
  .map((group) => `    "${group.name}") words="${names(group.children ?? [])}" ;;`)
  .join('\n')}
${leaves()
  .map(({ words, spec }) => {
    const first = offers(spec);
    const own = `${flags(spec.options ?? [])} ${flags(globalOptions)}`.trim();
    const here = words.join(' ');
    return `    "${here}") words="${first.words} ${own}"${first.isRun ? `; words="$words $(${runIds})"` : ''} ;;
    "${here} "*) words="${own}" ;;`;
  })
  .join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _orchestra orchestra
`;
}

function zsh(): string {
  return `#compdef orchestra
# orchestra completion for zsh; load it with: source <(orchestra completion zsh)
autoload -U +X bashcompinit && bashcompinit
${bash()}`;
}

function fish(): string {
  const lines = ['# orchestra completion for fish: orchestra completion fish | source'];
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  for (const spec of commands) {
    lines.push(
      `complete -c orchestra -f -n __fish_use_subcommand -a ${spec.name} -d ${quote(spec.text)}`,
    );
    for (const child of spec.children ?? []) {
      lines.push(
        `complete -c orchestra -f -n '__fish_seen_subcommand_from ${spec.name}' -a ${child.name} -d ${quote(child.text)}`,
      );
    }
  }
  for (const { words, spec } of leaves()) {
    const when = `-n '__fish_seen_subcommand_from ${words.at(-1) ?? ''}'`;
    const first = offers(spec);
    if (first.isRun)
      lines.push(`complete -c orchestra -f ${when} -a "(${runIds.replaceAll('"', '\\"')})"`);
    if (first.words !== '') lines.push(`complete -c orchestra -f ${when} -a ${quote(first.words)}`);
    for (const option of spec.options ?? [])
      lines.push(`complete -c orchestra ${when} ${fishOption(option, quote)}`);
  }
  for (const option of globalOptions)
    lines.push(`complete -c orchestra ${fishOption(option, quote)}`);
  return `${lines.join('\n')}\n`;
}

function fishOption(option: OptionSpec, quote: (text: string) => string): string {
  const { short, long, takesValue } = partsOf(option);
  const parts = [
    ...(short === undefined ? [] : [`-s ${short.slice(1)}`]),
    `-l ${long.slice(2)}`,
    ...(takesValue
      ? [
          typeof option.values === 'object' || option.values === 'record-types'
            ? `-x -a ${quote(wordsOf(option.values).join(' '))}`
            : '-r',
        ]
      : []),
    `-d ${quote(option.text)}`,
  ];
  return parts.join(' ');
}

function groups(): CommandSpec[] {
  return commands.filter((spec) => spec.children !== undefined && spec.load === undefined);
}

function names(specs: readonly CommandSpec[]): string {
  return specs
    .flatMap((spec) => [spec.name, ...(spec.alias === undefined ? [] : [spec.alias])])
    .join(' ');
}

function flags(options: readonly OptionSpec[]): string {
  return options
    .map(partsOf)
    .flatMap(({ short, long }) => (short === undefined ? [long] : [short, long]))
    .join(' ');
}

function offers(spec: CommandSpec): { words: string; isRun: boolean } {
  if (spec.first === 'run') return { words: '@last @last-failed', isRun: true };
  return {
    words: [...(spec.first ?? []), ...names(spec.children ?? []).split(' ')].join(' ').trim(),
    isRun: false,
  };
}

/** What follows a flag with a value; one flag means the same in every command. */
function valueCases(): { flags: string[]; action: string }[] {
  const all = [...globalOptions, ...leaves().flatMap(({ spec }) => spec.options ?? [])];
  const byFlag = new Map(all.map((option) => [partsOf(option).long, option]));
  return [...byFlag.values()].flatMap((option) => {
    const { short, long, takesValue } = partsOf(option);
    if (!takesValue) return [];
    const own = [...(short === undefined ? [] : [short]), long];
    return [{ flags: own, action: actionOf(option) }];
  });
}

function actionOf({ values }: OptionSpec): string {
  if (values === 'file') return 'COMPREPLY=($(compgen -f -- "$cur"))';
  if (values === 'directory') return 'COMPREPLY=($(compgen -d -- "$cur"))';
  if (values === undefined) return 'COMPREPLY=()';
  return `COMPREPLY=($(compgen -W "${wordsOf(values).join(' ')}" -- "$cur"))`;
}

function wordsOf(values: readonly string[] | 'record-types'): readonly string[] {
  if (values !== 'record-types') return values;
  return Object.keys(recordTypes);
}

function partsOf(option: OptionSpec): { short?: string; long: string; takesValue: boolean } {
  const words = option.flags.split(/[ ,]+/);
  const short = words.find((word) => /^-[^-]/.test(word));
  const long = words.find((word) => word.startsWith('--')) ?? '';
  return {
    ...(short === undefined ? {} : { short }),
    long,
    takesValue: option.flags.includes('<'),
  };
}
