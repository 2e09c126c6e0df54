import { OrchestraError } from '#contract/errors.ts';
import type { AllowedTool, ToolRow, ToolsAnswer } from '#contract/tools.ts';
import { stringify } from 'yaml';
import type { Client } from '../client/client.ts';
import type { Command, Options } from '../context.ts';
import { countOption, flagOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import type { Print } from '../terminal/print.ts';
import { table } from '../terminal/text.ts';

/** What the image has, and how each program stands on the list of a user. */
export const toolsLs: Command = async ({ print, client }, _args, options) => {
  const answer = await listOf(await client(), options);
  const isAll = flagOption(options, 'all');
  const items = isAll ? answer.items : answer.items.filter(isWorthALine);
  if (print.json) {
    print.object({ ...answer, items });
    return troubleCode(answer);
  }
  tellImage(print, answer);
  const rows = items.map((tool) => [
    tool.name,
    tool.version ?? '',
    wordFor(answer, tool),
    short(tool.binary),
    tool.path,
  ]);
  if (items.length > 0) {
    for (const line of table([['NAME', 'VERSION', '', 'BINARY', 'PATH'], ...rows]))
      print.line(line);
  }
  const more = answer.items.length - items.length;
  if (more > 0) print.note(`${more} more without a version of their own: --all`);
  return troubleCode(answer);
};

/** Everything that is known of one program: in the image, and on the list. */
export const toolsShow: Command = async ({ print, client }, [name = ''], options) => {
  const daemon = await client();
  const answer = await listOf(daemon, options);
  const tool = answer.items.find((one) => one.name === name);
  const query = answer.uid === undefined ? {} : { uid: answer.uid };
  const { lists } = await daemon.call('toolLists', { query });
  const allowed = lists.flatMap(({ tools }) => tools).filter((one) => one.name === name);
  if (tool === undefined && allowed.length === 0) {
    throw new OrchestraError('tool.unknown', `${name} is no program of ${answer.image.reference}`, {
      hint: 'orchestra tools --all',
    });
  }
  if (print.json) {
    print.object({ image: answer.image, ...(tool === undefined ? {} : { tool }), allowed });
    return 0;
  }
  if (tool === undefined) print.line(`${safe(name)} is not in ${safe(answer.image.reference)}`);
  else {
    const version = tool.version === undefined ? '' : ` ${tool.version}`;
    print.line(safe(`${tool.name}${version}  ${wordFor(answer, tool)}`));
    print.line(safe(`  path    ${tool.path}`));
    print.line(`  binary  ${tool.binary}`);
    print.line(safe(`  image   ${answer.image.id} (${answer.image.reference})`));
  }
  for (const line of allowed.flatMap(linesOf)) print.line(line);
  return 0;
};

export const toolsWithdraw: Command = async ({ print, client }, [name = ''], options) => {
  const uid = userOption(options);
  const daemon = await client();
  const body = { name, ...(uid === undefined ? {} : { uid }) };
  const withdrawn = await daemon.call('toolWithdraw', { body });
  if (print.json) print.object(withdrawn);
  else print.line(`${safe(withdrawn.name)} is off the list of user ${withdrawn.uid}`);
  return 0;
};

/** The lists as a document: to be read, reviewed and kept under version control. */
export const toolsExport: Command = async ({ print, client }, _args, options) => {
  const uid = userOption(options);
  const daemon = await client();
  const { lists } = await daemon.call('toolLists', { query: uid === undefined ? {} : { uid } });
  if (print.json) {
    print.object({ lists });
    return 0;
  }
  for (const list of lists) {
    const document = { version: 1, uid: list.uid, tools: list.tools };
    // What the daemon says is data here too: YAML quotes what steers a terminal, `safe` the rest.
    const lines = stringify(document, { lineWidth: 0 }).trimEnd().split('\n');
    for (const line of ['---', ...lines]) print.line(safe(line));
  }
  if (lists.length === 0) print.note('there are no lists yet');
  return 0;
};

async function listOf(daemon: Client, options: Options): Promise<ToolsAnswer> {
  const uid = userOption(options);
  return daemon.call('toolList', { query: uid === undefined ? {} : { uid } });
}

function userOption(options: Options): number | undefined {
  return countOption(options, 'user', { min: 0, max: 2 ** 32 - 1 });
}

/** Plans have it as a tool of its own, and it tells nobody its version. */
const always = ['sh'];

/** An image has hundreds of links to one small program; they are all there with `--all`. */
function isWorthALine({ name, version, standing, binary }: ToolRow, at: number, all: ToolRow[]) {
  if (version !== undefined || standing !== 'new' || always.includes(name)) return true;
  const same = all.filter((one) => one.binary === binary);
  return same[0] === all[at] && same.every((one) => one.version === undefined);
}

function wordFor({ growth }: ToolsAnswer, { standing }: ToolRow): string {
  if (standing === 'allowed') return 'allowed';
  const word = standing === 'changed' ? 'changed' : 'new';
  return growth === 'ask' ? `${word}: asks` : word;
}

function tellImage(print: Print, { image, measured, trouble, growth, uid }: ToolsAnswer): void {
  const whose = uid === undefined ? 'nobody that the daemon knows' : `user ${uid}`;
  print.note(safe(`${image.reference} ${short(image.id)}, on the list of ${whose}`));
  if (growth === 'off') print.note('the policy asks for none of them: tools_growth is off');
  if (trouble !== undefined) print.note(safe(trouble));
  if (measured === undefined) return;
  for (const name of measured.wrong)
    print.note(safe(`the image says of ${name} what is not so; what was measured counts`));
  if (measured.left_out > 0) print.note(`${measured.left_out} files were left out`);
}

function linesOf({ version, image, binary, at, request, by }: AllowedTool): string[] {
  return [
    safe(`allowed since ${at}, by ${by.map((uid) => `user ${uid}`).join(', ')}, ${request}`),
    safe(`  ${version ?? 'no version'}  binary ${short(binary)}  image ${short(image)}`),
  ];
}

function troubleCode({ trouble }: ToolsAnswer): number {
  return trouble === undefined ? 0 : 4;
}

function short(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}
