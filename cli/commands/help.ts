import { OrchestraError } from '#contract/errors.ts';
import type { Command } from '../context.ts';
import { exitMeanings } from '../exit-meanings.ts';
import { helpOf } from '../parse.ts';

export const help: Command = async ({ print }, topic) => {
  const name = topic.join(' ');
  const known = Object.hasOwn(topics, name) ? topics[name]?.() : helpOf(topic);
  if (known === undefined) {
    throw new OrchestraError('usage.invalid', `There is no help on ${name}`, {
      hint: `topics: ${Object.keys(topics).join(', ')}, and every command`,
    });
  }
  if (print.json) print.object({ topic: name, help: known });
  else print.line(known.trimEnd());
  return Promise.resolve(0);
};

const topics: Readonly<Record<string, () => string>> = {
  'exit-codes': () =>
    [
      'Exit codes of orchestra, a promise:',
      '',
      ...Object.entries(exitMeanings).map(([code, meaning]) => `${code.padStart(5)}  ${meaning}`),
      '',
      'Several causes at once: 4 before 1 before 3 before 2. `exec` ends with the code of its',
      "command (a command that died by a signal with 128 + its number), unless a limit or Orchestra itself ended it: then with this table's.",
      'With --json the last object carries exit_code and reason.',
    ].join('\n'),
  environment: () =>
    [
      'Environment of orchestra:',
      '',
      ...environment.map(([name, meaning]) => `  ${name.padEnd(22)}${meaning}`),
    ].join('\n'),
};

const environment = [
  [
    'ORCHESTRA_HOST',
    'the daemon to speak to, unix:///path or https://host:port; --host goes first',
  ],
  [
    'ORCHESTRA_TOKEN_FILE',
    'a file with the token for https, mode 0600; else that of orchestra login',
  ],
  ['ORCHESTRA_CA_FILE', "what the daemon's certificate is signed by, PEM; else what Node trusts"],
  ['ORCHESTRA_CLIENT_CERT_FILE', 'a certificate of yours, where the daemon wants one, and'],
  ['ORCHESTRA_CLIENT_KEY_FILE', 'the key of it'],
  ['ORCHESTRA_ENGINE_DIR', "one folder for an engine of Orchestra's own, beside another"],
  ['DOCKER_HOST', 'the engine that doctor, engine and image look at, before any other'],
  ['NO_COLOR, FORCE_COLOR', 'no colours; colours even without a terminal (0: none)'],
  ['TERM=dumb, CI', 'nothing is redrawn: one line for each change'],
  ['XDG_CONFIG_HOME', 'orchestra/cli.yaml there holds defaults for flags'],
  ['XDG_STATE_HOME', 'orchestra-cli/heads.json there holds the newest audit heads seen'],
  ['XDG_CACHE_HOME', 'orchestra there remembers digests of unchanged files'],
  ['XDG_RUNTIME_DIR', "orchestra/orchestra.sock there is a user's default daemon"],
] as const;
