/** What every record has, whatever its type. The verifier does not look into `data`. */
export type Envelope = {
  v: 1;
  seq: number;
  prev: string;
  ts: string;
  mono: number;
  boot: string;
  type: string;
  run?: string;
  rseq?: number;
  rprev?: string;
  data: Record<string, unknown>;
};

type Check = (value: unknown) => boolean;

const stamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const typeName = /^[a-z]+(?:[._][a-z]+)+$/;

const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const hash: Check = (value) => typeof value === 'string' && value.length === 64 && isHex(value);
const text =
  (max: number): Check =>
  (value) =>
    typeof value === 'string' && value.length <= max;
const oneOf =
  (...words: string[]): Check =>
  (value) =>
    typeof value === 'string' && words.includes(value);
const listOf =
  (max: number, each: Check): Check =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(each);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const closed =
  (fields: ReadonlyMap<string, Check>, required: readonly string[]): Check =>
  (value) =>
    isObject(value) && whyNotFields(value, fields, required) === undefined;

const actor = closed(
  new Map<string, Check>([
    ['auth', oneOf('peer', 'owner', 'socket', 'token', 'self', 'none')],
    ['gid', count],
    ['groups', listOf(128, count)],
    ['kind', oneOf('user', 'daemon', 'task')],
    ['name', text(64)],
    ['pid', count],
    ['roles', listOf(8, text(16))],
    ['token', text(64)],
    ['uid', count],
  ]),
  ['auth', 'kind'],
);

const policy = closed(
  new Map<string, Check>([
    ['hash', text(80)],
    ['rule', text(128)],
  ]),
  ['hash', 'rule'],
);

const fields: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['actor', actor],
  ['boot', text(64)],
  ['data', isObject],
  ['mono', count],
  ['obj', (value) => isObject(value) && Object.values(value).every(text(256))],
  ['outcome', oneOf('ok', 'denied', 'failed', 'unknown')],
  ['pol', policy],
  ['prev', hash],
  ['req', text(64)],
  ['rprev', hash],
  ['rseq', count],
  ['run', text(16)],
  ['seq', count],
  ['sev', oneOf('info', 'notice', 'warn', 'alert')],
  ['stage', oneOf('intent', 'result', 'note')],
  ['ts', (value) => typeof value === 'string' && stamp.test(value)],
  ['type', (value) => typeof value === 'string' && value.length <= 64 && typeName.test(value)],
  ['v', (value) => value === 1],
]);

const required = ['actor', 'boot', 'data', 'mono', 'outcome', 'prev', 'seq', 'sev', 'stage', 'ts'];
required.push('type', 'v');

/** Why a value is not a record, or undefined. */
export function whyNotRecord(value: unknown): string | undefined {
  if (!isObject(value)) return 'the line is not an object';
  const why = whyNotFields(value, fields, required);
  if (why !== undefined) return why;
  const inRun = value['run'] !== undefined;
  if (inRun !== (value['rseq'] !== undefined) || inRun !== (value['rprev'] !== undefined)) {
    return 'run, rseq and rprev come together or not at all';
  }
  return undefined;
}

function whyNotFields(
  object: Record<string, unknown>,
  fields: ReadonlyMap<string, Check>,
  required: readonly string[],
): string | undefined {
  for (const key of Object.keys(object)) {
    const check = fields.get(key);
    if (check === undefined) return 'there is an unknown field';
    if (!check(object[key])) return `the field ${key} is not valid`;
  }
  for (const key of required) {
    if (object[key] === undefined) return `the field ${key} is missing`;
  }
  return undefined;
}

const hexDigits = new Uint8Array(128);
for (const digit of '0123456789abcdef') hexDigits[digit.charCodeAt(0)] = 1;

// Up to three times for each record: without branches, several times as fast as a pattern.
function isHex(text: string): boolean {
  let all = 1;
  for (let at = 0; at < text.length; at += 1) all &= hexDigits[text.charCodeAt(at)] ?? 0;
  return all === 1;
}
