/**
 * What collectors do with what they are sent, written from the format descriptions alone: RFC 4180,
 * RFC 5424 with RFC 6587, and CEF. Strict: each throws where the text is not of its format.
 */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length) {
    let cell = '';
    if (text[at] === '"') {
      at += 1;
      for (;;) {
        const end = text.indexOf('"', at);
        if (end < 0) throw new Error('a quotation mark is not closed');
        cell += text.slice(at, end);
        at = end + 1;
        if (text[at] !== '"') break;
        cell += '"';
        at += 1;
      }
    } else {
      const [bare = ''] = /^[^",\r\n]*/.exec(text.slice(at)) ?? [];
      cell = bare;
      at += bare.length;
    }
    row.push(cell);
    if (text[at] === ',') at += 1;
    else if (text.startsWith('\r\n', at)) {
      at += 2;
      rows.push(row);
      row = [];
    } else throw new Error(`no comma and no end of line at ${at}`);
  }
  if (row.length > 0) throw new Error('the last line has no end');
  return rows;
}

export type SyslogMessage = {
  facility: number;
  severity: number;
  time: string;
  host: string;
  app: string;
  process: string;
  id: string;
  elements: Record<string, Record<string, string>>;
  message: string;
};

export function parseSyslog(text: string): SyslogMessage {
  const header =
    /^<(\d{1,3})>1 (\S+) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) /.exec(text);
  if (!header) throw new Error(`no header of RFC 5424: ${text.slice(0, 80)}`);
  const [all, priority, time = '', host = '', app = '', process = '', id = ''] = header;
  let at = all.length;
  const elements: SyslogMessage['elements'] = {};
  if (text[at] === '-') at += 1;
  while (text[at] === '[') {
    const name = /^\[([^\s="\]]{1,32})/.exec(text.slice(at));
    if (!name) throw new Error('an element without a name');
    at += name[0].length;
    const params: Record<string, string> = {};
    for (;;) {
      const param = /^ ([^\s="\]]{1,32})="((?:[^"\\\]]|\\[^])*)"/.exec(text.slice(at));
      if (!param) break;
      at += param[0].length;
      params[param[1] ?? ''] = (param[2] ?? '').replace(/\\(["\\\]])/g, '$1');
    }
    if (text[at] !== ']') throw new Error('an element is not closed');
    at += 1;
    elements[name[1] ?? ''] = params;
  }
  if (at < text.length && text[at] !== ' ') throw new Error('something follows the elements');
  const [facility, severity] = [Math.floor(Number(priority) / 8), Number(priority) % 8];
  return {
    facility,
    severity,
    time,
    host,
    app,
    process,
    id,
    elements,
    message: text.slice(at + 1),
  };
}

/** Octet counting: the messages that are whole, and what is left. */
export function uncount(bytes: Buffer): { messages: string[]; rest: Buffer } {
  const messages: string[] = [];
  let at = 0;
  for (;;) {
    const space = bytes.indexOf(0x20, at);
    if (space < 0) break;
    const digits = bytes.toString('latin1', at, space);
    if (!/^[1-9]\d{0,6}$/.test(digits)) throw new Error(`not a count: ${digits.slice(0, 40)}`);
    const end = space + 1 + Number(digits);
    if (end > bytes.length) break;
    messages.push(bytes.toString('utf8', space + 1, end));
    at = end;
  }
  return { messages, rest: bytes.subarray(at) };
}

export function parseCef(text: string): { head: string[]; fields: Record<string, string> } {
  const head: string[] = [];
  let at = 0;
  while (head.length < 7) {
    const part = /^((?:[^|\\\r\n]|\\[|\\])*)\|/.exec(text.slice(at));
    if (!part) throw new Error('no header of CEF');
    head.push((part[1] ?? '').replace(/\\([|\\])/g, '$1'));
    at += part[0].length;
  }
  const fields: Record<string, string> = {};
  let rest = text.slice(at);
  while (rest !== '') {
    const key = /^(\w+)=/.exec(rest);
    if (!key) throw new Error(`no field at ${rest.slice(0, 40)}`);
    rest = rest.slice(key[0].length);
    const [value = ''] = /^(?:[^=\\\r\n]|\\[=\\nr])*?(?= \w+=|$)/.exec(rest) ?? [];
    fields[key[1] ?? ''] = value.replace(/\\([=\\nr])/g, (_all, char: string) =>
      char === 'n' ? '\n' : char === 'r' ? '\r' : char,
    );
    rest = rest.slice(value.length);
    if (rest.startsWith(' ')) rest = rest.slice(1);
    else if (rest !== '') throw new Error(`something follows a field: ${rest.slice(0, 40)}`);
  }
  return { head, fields };
}
