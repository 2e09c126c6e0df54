/** Letters of a hash of 32 bytes in base64, with its quotes. */
const hashLetters = 44 + 2;

/** How many hashes the inclusion proof of a leaf has: RFC 6962, 2.1.1. */
export function proofHashes(index: number, size: number): number {
  let hashes = 0;
  // Level by level: the last node without a neighbour goes up as it is, and adds nothing.
  for (let [at, last] = [index, size - 1]; last > 0;) {
    if (at % 2 === 1 || at < last) hashes += 1;
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return hashes;
}

/** Bytes of one line of `proofs.jsonl`: a tar says how long a file is before it begins. */
export function proofLineBytes(index: number, size: number): number {
  const hashes = proofHashes(index, size);
  const frame = JSON.stringify({ proof: [], seq: index }).length + 1;
  return frame + hashes * hashLetters + Math.max(0, hashes - 1);
}
