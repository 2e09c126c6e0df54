/**
 * How compilers, test runners and package managers say that they found something. A pattern sees one
 * line of at most 512 characters of hostile text: bounded gaps, and never a repetition inside one.
 */
export type Signature =
  'address' | 'busy' | 'script' | 'lockfile' | 'module' | 'compiler' | 'tests';

const signatures: Readonly<Record<Signature, readonly RegExp[]>> = {
  address: [/\bEADDRINUSE\b/, /[Aa]ddress already in use/],
  busy: [/\bETXTBSY\b/, /[Tt]ext file busy/],
  script: [/^npm (?:error|ERR!) Missing script:/],
  lockfile: [
    /can only install packages when your package\.json and/,
    /^npm (?:error|ERR!) code (?:ERESOLVE|EBADENGINE|EUSAGE|EBADPLATFORM)\b/,
  ],
  module: [
    /\bCannot find (?:module|package) '/,
    /\bERR_MODULE_NOT_FOUND\b/,
    /^ModuleNotFoundError: /,
    /^(?:ERROR in .{0,200})?Module not found: /,
  ],
  compiler: [
    /\berror TS\d{1,5}:/,
    /^[^\s:][^:]{0,250}:\d{1,7}:(?:\d{1,7}:)? (?:fatal )?error:? /,
    /^error(?:\[E\d{4}\])?: /,
    /^error: could not compile /,
    /^[^\s:][^:]{0,250}\.go:\d{1,7}:\d{1,7}: /,
    /^(?:\s{0,8})?(?:SyntaxError|IndentationError|TabError): /,
    /^(?:✘|X) \[ERROR\] /,
    /^(?:Build failed with|error during build)/,
    /^✖ \d{1,7} problems? \(/,
    /\[ERROR\] COMPILATION ERROR/,
    /^collect2: error: /,
    /^make(?:\[\d{1,3}\])?: \*\*\* /,
  ],
  tests: [
    // vitest, jest
    /^\s{0,8}(?:Test Files|Test Suites:|Tests:?)\s{1,12}[1-9]\d{0,6} failed\b/,
    // mocha, playwright
    /^\s{1,8}[1-9]\d{0,6} (?:failing|failed)$/,
    // node:test, tap
    /^(?:ℹ|#) fail [1-9]/,
    /^\s{0,32}not ok \d/,
    // pytest, unittest
    /^.{0,120}\b[1-9]\d{0,6} failed\b.{0,80} in [\d.]{1,12}s/,
    /^FAILED \((?:failures|errors)=/,
    // go, cargo
    /^\s{0,32}--- FAIL: /,
    /^FAIL\s/,
    /^test result: FAILED/,
    // maven, gradle, rspec, phpunit, ctest
    /\bTests run: \d{1,7}, Failures: (?:[1-9]|0, Errors: [1-9])/,
    /^\d{1,7} tests completed, [1-9]\d{0,6} failed/,
    /^\d{1,7} examples?, [1-9]\d{0,6} failures?/,
    /^FAILURES!$/,
    /^The following tests FAILED:/,
    /\bAssertionError\b/,
    /\bERR_ASSERTION\b/,
  ],
};

const tailMax = 4096;
const lineMax = 512;

/** Whether a line of the end of the output says so. */
export function shows(signature: Signature, tail: string | undefined): boolean {
  if (tail === undefined) return false;
  return tail
    .slice(-tailMax)
    .split('\n')
    .map((line) => line.slice(0, lineMax))
    .some((line) => signatures[signature].some((pattern) => pattern.test(line)));
}
