import type { Verdict } from './verdict.ts';

const words = {
  verified: 'is verified',
  tampered: 'is NOT INTACT',
  unchecked: 'could not be checked',
  incomplete: 'is sound but incomplete',
} as const;

/** The verdict for people. File names and ids come from outside and are made harmless. */
export function printVerdict(verdict: Verdict): string {
  const { records, segments, runs, openRuns, head, durationMs } = verdict;
  const keys = verdict.keys.map(({ epoch, vkey }) => `  key ${epoch}     ${vkey}`);
  const lines = [
    `The log ${words[verdict.verdict]}.`,
    `  checked   ${records} records in ${segments} segments, ${runs} runs (${openRuns} open), ${durationMs} ms`,
    `  last good ${verdict.lastGoodSeq < 0 ? 'none' : verdict.lastGoodSeq}`,
    `  head      ${head.size} ${head.hash}`,
    `  reach     ${verdict.reach}`,
    ...keys,
  ];
  for (const { reason, file, offset, seq, detail } of verdict.findings) {
    const where = file === '' ? '' : ` ${file}, byte ${offset}, record ${seq}:`;
    lines.push(`  ${reason}${where} ${detail}`);
  }
  for (const note of verdict.notes) lines.push(`  note      ${note}`);
  for (const note of verdict.evidence) {
    lines.push(
      '  signed',
      ...note
        .trimEnd()
        .split('\n')
        .map((line) => `    ${line}`),
    );
  }
  return `${lines.map(harmless).join('\n')}\n`;
}

// Control characters, bidirectional overrides and invisible characters become escapes.
function harmless(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
