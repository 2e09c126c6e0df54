/** Ends with a sentence where an older Node would end with a syntax error. Plain for Node 18 on. */
export function assertNode(name) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 24 || (major === 24 && minor >= 15)) return;
  process.stderr.write(
    `${name}: Node ${process.versions.node} is too old, 24.15 or later is needed\n` +
      'Next  npm install -g node@24   or install Node 24 by your usual way\n',
  );
  process.exit(1);
}
