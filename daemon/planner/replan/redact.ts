/**
 * What a task said, without what looks like a secret. The daemon's own secrets are masked where
 * output is written; this is for those that it does not know. In doubt too much.
 */
export function redact(text: string): string {
  return patterns.reduce((left, [pattern, instead]) => left.replace(pattern, instead), text);
}

const patterns: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]{0,40}-----[^]{0,8192}?(?:-----END [A-Z ]{0,40}-----|$)/g, '[redacted]'],
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@]{1,256}@/gi, '$1[redacted]@'],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,4096}/gi, '$1 [redacted]'],
  [/\beyJ[\w-]{8,4096}\.[\w-]{2,4096}(?:\.[\w-]{0,4096})?/g, '[redacted]'],
  [
    /\b(?:sk|pk|rk|ghp|gho|ghs|ghu|github_pat|glpat|xox[abpr]|npm|AKIA|ASIA|AIza)[-_]?[\w-]{12,512}/g,
    '[redacted]',
  ],
  [
    /((?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|credential)s?["']?\s{0,4}[:=]\s{0,4})["']?[^\s"',;]{3,512}/gi,
    '$1[redacted]',
  ],
  [/\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}\b/g, '[redacted]'],
  // Long words without a separator: keys and digests.
  [/[A-Za-z0-9+_=-]{40,}/g, '[redacted]'],
];
