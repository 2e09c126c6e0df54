// A lock between processes for what runs before anything is installed, on any Node from 20 on. It is
// a file that names its holder; what a dead holder left is taken over.
import fs from 'node:fs';

/**
 * Runs `work` while no other process that names the same file does.
 * @template T
 * @param {string} file
 * @param {{ onWait: (pid: number) => void, timeoutMs?: number }} options
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withPidLock(file, { onWait, timeoutMs = 900_000 }, work) {
  const own = `${process.pid} ${startedAt(process.pid)}`;
  const giveUpAt = Date.now() + timeoutMs;
  let told = false;
  while (!tryTake(file, own)) {
    const holder = read(file);
    if (holder !== undefined && !isHeld(holder)) {
      breakStale(file, holder);
      continue;
    }
    if (!told && holder !== undefined) onWait(Number(holder.split(' ')[0]));
    told = true;
    if (Date.now() > giveUpAt) throw new Error(`another set-up holds ${file} for too long`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  try {
    return await work();
  } finally {
    if (read(file) === own) fs.rmSync(file, { force: true });
  }
}

// A hard link appears with its content or not at all; an exclusive open could be seen empty.
function tryTake(file, own) {
  const draft = `${file}.${process.pid}`;
  fs.writeFileSync(draft, own);
  try {
    fs.linkSync(draft, file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    fs.rmSync(draft, { force: true });
  }
}

// Between our look and our move another may have taken over; then what we moved is a live lock, and
// is put back. A third process would have to start within that instant to hold it as well.
function breakStale(file, stale) {
  const aside = `${file}.stale.${process.pid}`;
  try {
    fs.renameSync(file, aside);
    if (read(aside) !== stale) fs.linkSync(aside, file);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  } finally {
    fs.rmSync(aside, { force: true });
  }
}

function isHeld(holder) {
  const [pid, started] = holder.split(' ');
  return startedAt(Number(pid)) === started && started !== '';
}

// Pid and start time together name one process for ever; a pid alone is given out again.
function startedAt(pid) {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return process.platform === 'linux' ? '' : isAlive(pid);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? '' : (fields[19] ?? '');
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return 'alive';
  } catch (error) {
    return error.code === 'EPERM' ? 'alive' : '';
  }
}

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
