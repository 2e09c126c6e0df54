#!/usr/bin/env python3
"""Checks the audit trail of Orchestra: the second implementation, with nothing but Python 3.11.

It shares no code with the first one and answers the same: exit code, reason and record. Usage:

    orchestra_verify.py PATH [--key VKEY] [--checkpoint FILE] [--policy FILE]
                        [--expect SIZE:HASH] [--record FILE] [--json]

PATH: a log's folder, copied segments, one segment, the extract of a run (folder or tar), or a
.tlog-proof. Exit 0 verified, 1 tampering or inconsistency, 2 could not check, 3 sound but incomplete.
`--serve` reads one case a line from standard input, as JSON, and answers each with a line.
"""
import base64, hashlib, json, os, re, stat, sys

LINE_MAX, DEPTH_MAX, NOTE_MAX, WINDOW = 65535, 6, 65536, 131072
ZERO, SAFE, UNSIGNED_MAX, BUNDLE_MAX = "0" * 64, 2**53 - 1, 256, 256 * 1024 * 1024
HEX64 = re.compile(r"[0-9a-f]{64}")


def leaf_hash(line): return hashlib.sha256(b"\0" + line).digest()
def node_hash(left, right): return hashlib.sha256(b"\1" + left + right).digest()
def units(text): return len(text.encode("utf-16-le")) // 2
def is_num(v): return type(v) in (int, float)
def is_count(v): return is_num(v) and 0 <= v <= SAFE and v == int(v)


# --- Ed25519, RFC 8032, checking only ------------------------------------------------------------
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point_add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_of(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, (y & (2**255 - 1)) % P
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P: x = x * ROOT % P
    if (x * x - x2) % P: return None
    if x & 1 != sign: x = -x % P
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
SIGNED = {}


def ed25519(raw, message, signature):
    case = (raw, message, signature)
    if case not in SIGNED:
        if len(SIGNED) > 200000: SIGNED.clear()
        SIGNED[case] = ed25519_slow(raw, message, signature)
    return SIGNED[case]


def ed25519_slow(raw, message, signature):
    key, s = point_of(raw), int.from_bytes(signature[32:], "little")
    if key is None or s >= Q: return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + raw + message).digest(), "little") % Q
    minus = (-key[0] % P, key[1], 1, -key[3] % P)
    both, r = point_add(BASE, minus), (0, 1, 1, 0)
    for bit in range(252, -1, -1):
        r = point_add(r, r)
        which = (s >> bit & 1) + 2 * (k >> bit & 1)
        if which: r = point_add(r, (None, BASE, minus, both)[which])
    inverse = pow(r[2], P - 2, P)
    x, y = r[0] * inverse % P, r[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# --- notes, keys, checkpoints, proofs (C2SP) -------------------------------------------------------
SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff+]")


def b64(text):
    try: raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, UnicodeError): return None
    return raw if base64.b64encode(raw).decode() == text else None


def is_name(name): return 0 < units(name) <= 256 and not SPACE.search(name)


def parse_vkey(vkey):
    m = re.fullmatch(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", vkey, re.S)
    raw = m and b64(m[3])
    if not raw or not is_name(m[1]) or len(raw) != 33 or raw[0] not in (1, 4): return None
    kid = hashlib.sha256(m[1].encode() + b"\n" + raw).digest()[:4]
    if kid.hex() != m[2]: return None
    return {"vkey": vkey, "name": m[1], "id": kid, "kind": raw[0], "raw": raw[1:]}


def parse_note(raw):
    if len(raw) > NOTE_MAX: return None
    try: text = raw.decode("utf-8")
    except UnicodeError: return None
    if re.search("[\0-\x09\x0b-\x1f]", text) or not text.endswith("\n"): return None
    split = text.rfind("\n\n")
    if split < 0: return None
    lines = text[split + 2:-1].split("\n")
    sigs = []
    for line in lines:
        parts = line.split(" ")
        blob = b64(parts[2]) if len(parts) == 3 and parts[0] == "\u2014" and is_name(parts[1]) else None
        if blob is None or len(blob) < 5: return None
        sigs.append((parts[1], blob[:4], blob[4:]))
    return {"text": text[:split + 1], "sigs": sigs, "raw": text} if len(sigs) <= 64 else None


def signed_by(note, key):
    """True, the time of a cosignature, 'absent' or 'wrong'."""
    own = [s for n, i, s in note["sigs"] if n == key["name"] and i == key["id"]]
    said = "absent"
    for sig in own:
        text = note["text"].encode()
        said = True
        if key["kind"] == 4:
            if len(sig) != 72: return "wrong"
            said = int.from_bytes(sig[:8], "big")
            text, sig = b"cosignature/v1\ntime %d\n" % said + text, sig[8:]
        if len(sig) != 64 or not ed25519(key["raw"], text, sig): return "wrong"
    return said


def is_signed(said): return said not in ("absent", "wrong")


def parse_size(text): return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,15}", text) and int(text) <= SAFE else None


def parse_checkpoint(raw):
    note = parse_note(raw)
    lines = note["text"].split("\n") if note else []
    if len(lines) < 4 or lines[-1] or "" in lines[:-1]: return None
    size, root = parse_size(lines[1]), b64(lines[2])
    if size is None or root is None or len(root) != 32: return None
    return {"origin": lines[0], "size": size, "root": root, "note": note}


def parse_proof(lines):
    if not isinstance(lines, list) or len(lines) > 63 or not all(isinstance(x, str) for x in lines): return None
    proof = [b64(x) for x in lines]
    return proof if all(x is not None and len(x) == 32 for x in proof) else None


def includes(index, size, leaf, root, proof):
    if index >= size: return False
    fn, sn, node = index, size - 1, leaf
    for sibling in proof:
        if sn == 0: return False
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while not fn & 1 and fn: fn, sn = fn >> 1, sn >> 1
        else: node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and node == root


def is_consistent(a, b, root_a, root_b, proof):
    if a > b: return False
    if a == 0: return not proof and root_a == hashlib.sha256(b"").digest()
    if a == b: return not proof and root_a == root_b
    path = ([root_a] if a & (a - 1) == 0 else []) + proof
    if len(path) < 2: return False
    fn, sn = a - 1, b - 1
    while fn & 1: fn, sn = fn >> 1, sn >> 1
    before = after = path[0]
    for node in path[1:]:
        if sn == 0: return False
        if fn & 1 or fn == sn:
            before, after = node_hash(node, before), node_hash(node, after)
            while not fn & 1 and fn: fn, sn = fn >> 1, sn >> 1
        else: after = node_hash(after, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and before == root_a and after == root_b


class Tree:
    def __init__(self, on_tile): self.size, self.edge, self.tiles, self.on_tile = 0, [], [], on_tile

    def add(self, node):
        self.put(0, node)
        rest, height = self.size, 0
        while rest & 1:
            node, rest, height = node_hash(self.edge.pop(), node), rest >> 1, height + 1
            if height % 8 == 0: self.put(height // 8, node)
        self.edge.append(node)
        self.size += 1

    def put(self, level, node):
        if level == len(self.tiles): self.tiles.append([0, []])
        tile = self.tiles[level]
        tile[1].append(node)
        if len(tile[1]) == 256:
            self.on_tile(level, tile[0], b"".join(tile[1]))
            self.tiles[level] = [tile[0] + 1, []]

    def root(self):
        if not self.edge: return hashlib.sha256(b"").digest()
        node = self.edge[-1]
        for left in reversed(self.edge[:-1]): node = node_hash(left, node)
        return node


# --- policy (C2SP tlog-policy and max-unanchored) ----------------------------------------------------
class Bad(Exception): pass


def parse_policy(raw):
    text = raw.decode("latin-1")
    if re.search("[\0-\x08\x0b-\x1f\x7f]", text): raise Bad("control character")
    policy = {"logs": [], "witnesses": {}, "groups": {}, "quorum": "", "max": None}
    raws, names = set(), lambda n: n != "none" and n not in policy["witnesses"] and n not in policy["groups"]

    def key(word, kind):
        try: k = parse_vkey(word.encode("latin-1").decode("utf-8", "replace"))
        except UnicodeError: k = None
        if not k or k["kind"] != kind or (kind, k["raw"]) in raws: raise Bad("no key")
        raws.add((kind, k["raw"]))
        return k

    for line in text.split("\n"):
        words = [w for w in re.split("[ \t]+", line) if w]
        if not words or words[0].startswith("#"): continue
        verb, name, rest = words[0], (words + [""])[1], words[2:]
        if verb == "log":
            policy["logs"].append(key(name, 1))
            if len(rest) > 1: raise Bad("log")
        elif verb == "witness":
            k = key(rest[0] if rest else "", 4)
            if len(rest) > 2 or not names(name): raise Bad("witness")
            policy["witnesses"][name] = k
        elif verb == "group":
            members = rest[1:]
            used = [m for g in policy["groups"].values() for m in g[1]] + members
            word = rest[0] if rest else ""
            least = {"all": len(members), "any": 1}.get(word, int(word) if re.fullmatch("[0-9]{1,4}", word) else 0)
            known = all(m in policy["witnesses"] or m in policy["groups"] for m in members)
            if not members or not names(name) or not known or len(set(used)) < len(used) or not 1 <= least <= len(members):
                raise Bad("group")
            policy["groups"][name] = (least, members)
        elif verb == "quorum":
            known = name == "none" or name in policy["witnesses"] or name in policy["groups"]
            if policy["quorum"] or not known or rest: raise Bad("quorum")
            policy["quorum"] = name
        elif verb == "max-unanchored":
            if policy["max"] is not None or rest or not re.fullmatch("[0-9]{1,15}", name): raise Bad("max")
            policy["max"] = int(name)
        else: raise Bad("word")
    if not policy["quorum"]: raise Bad("quorum")
    return policy


def cosigners(note, policy):
    found = []
    for name, key in policy["witnesses"].items():
        said = signed_by(note, key)
        if said == "wrong": return None
        if said != "absent": found.append((name, said))
    return found


def is_quorum(policy, names):
    def holds(n):
        group = policy["groups"].get(n)
        return n in names if group is None else sum(map(holds, group[1])) >= group[0]
    return policy["quorum"] == "none" or holds(policy["quorum"])


# --- one line ----------------------------------------------------------------------------------------
class Fail(Exception):
    def __init__(self, reason, seq, detail, offset=0, file=""):
        self.reason, self.seq, self.detail, self.offset, self.file = reason, seq, detail, offset, file


def no_constant(_): raise ValueError


def parse_json(raw):
    try: return json.loads(raw.decode("utf-8"), parse_constant=no_constant)
    except (ValueError, RecursionError): return None


def canonical(v, depth=0):
    if isinstance(v, bool): return True
    if isinstance(v, str): return not re.search("[\ud800-\udfff]", v)
    if isinstance(v, int): return abs(v) <= SAFE
    if depth >= DEPTH_MAX: return False
    if isinstance(v, list): return all(canonical(x, depth + 1) for x in v)
    if not isinstance(v, dict): return False
    before = ""
    for key, value in v.items():
        if not re.fullmatch("[a-z][a-z0-9_]*", key) or key <= before or not canonical(value, depth + 1): return False
        before = key
    return True


def is_text(n): return lambda v: isinstance(v, str) and units(v) <= n
def list_of(n, each): return lambda v: isinstance(v, list) and len(v) <= n and all(map(each, v))
def one_of(*words): return lambda v: isinstance(v, str) and v in words
def closed(fields, required):
    return lambda v: isinstance(v, dict) and all(k in fields and fields[k](x) for k, x in v.items()) and all(k in v for k in required)


is_int = lambda v: type(v) is int and 0 <= v <= SAFE
is_hash = lambda v: isinstance(v, str) and HEX64.fullmatch(v) is not None
is_dict = lambda v: isinstance(v, dict)
FIELDS = {
    "actor": closed({"auth": one_of("peer", "owner", "socket", "token", "self", "none"), "gid": is_int, "groups": list_of(128, is_int),
                     "kind": one_of("user", "daemon", "task"), "name": is_text(64), "pid": is_int, "roles": list_of(8, is_text(16)),
                     "token": is_text(64), "uid": is_int}, ("auth", "kind")),
    "boot": is_text(64), "data": is_dict, "mono": is_int,
    "obj": lambda v: is_dict(v) and all(map(is_text(256), v.values())),
    "outcome": one_of("ok", "denied", "failed", "unknown"),
    "pol": closed({"hash": is_text(80), "rule": is_text(128)}, ("hash", "rule")),
    "prev": is_hash, "req": is_text(64), "rprev": is_hash, "rseq": is_int, "run": is_text(16), "seq": is_int,
    "sev": one_of("info", "notice", "warn", "alert"), "stage": one_of("intent", "result", "note"),
    "ts": lambda v: isinstance(v, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", v),
    "type": lambda v: isinstance(v, str) and len(v) <= 64 and re.fullmatch("[a-z]+(?:[._][a-z]+)+", v),
    "v": lambda v: type(v) is int and v == 1,
}
is_record = closed(FIELDS, ("actor", "boot", "data", "mono", "outcome", "prev", "seq", "sev", "stage", "ts", "type", "v"))


def millis(ts):
    year, month, day, hour, minute, second = (int(ts[a:b]) for a, b in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)))
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    months = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (1 <= month <= 12 and 1 <= day <= months[month - 1] and hour < 24 and minute < 60 and second < 60): return None
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 + sum(months[:month - 1]) + day - 1 - 719162
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + int(ts[20:23])


def read_record(line, seq, offset, file, timed=True):
    def fail(reason, detail): raise Fail(reason, seq, detail, offset, file)
    if len(line) > LINE_MAX: fail("oversize", "the line is too long")
    value = parse_json(line)
    if value is None or not canonical(value): fail("non_canonical", "the line is not canonical JSON")
    if json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8") != line:
        fail("non_canonical", "written again, the record gives other bytes")
    if not is_record(value) or len({k in value for k in ("run", "rseq", "rprev")}) != 1: fail("schema", "the line is no record")
    if timed and millis(value["ts"]) is None: fail("schema", "the time is no time")
    return value


# --- the chain ---------------------------------------------------------------------------------------
class Chain:
    def __init__(self, first):
        self.seq, self.partial, self.head = first, first > 0, ZERO if first == 0 else ""
        self.runs, self.stamp, self.first, self.bytes, self.sealed = {}, None, 0, 0, False

    def begin(self): self.first, self.bytes, self.sealed = self.seq, 0, False

    def accept(self, line, offset, file):
        def fail(reason, detail): raise Fail(reason, self.seq, detail, offset, file)
        r = read_record(line, self.seq, offset, file, timed=False)
        leaf, data, kind, seq = leaf_hash(line).hex(), r["data"], r["type"], r["seq"]
        if seq < self.seq: fail("seq_duplicate", "a number again: two writers, or a replay")
        if seq > self.seq: fail("seq_gap", f"records {self.seq} to {seq - 1} are not here")
        if self.head and r["prev"] != self.head: fail("prev_mismatch", "does not continue the record before it, or that was changed")
        opens = kind in ("log.genesis", "log.segment.opened")
        if self.sealed: fail("schema", "a record follows the end of its segment")
        if opens != (seq == self.first) or (kind == "log.genesis") != (seq == 0): fail("schema", "a segment does not begin as it should")
        same = lambda v, n: is_num(v) and not isinstance(v, bool) and v == n
        if kind == "log.segment.opened":
            if not same(data.get("first_seq"), seq) or not same(data.get("previous_size"), seq) or data.get("previous") != r["prev"]:
                fail("hash_mismatch", "the segment names another predecessor")
        if kind == "log.segment.closed":
            said = data.get("first_seq"), data.get("records"), data.get("bytes")
            if not all(map(same, said, (self.first, seq - self.first + 1, self.bytes))): fail("schema", "the segment was closed with another count")
            self.sealed = True
        ts = millis(r["ts"])
        if ts is None: fail("schema", "the time is no time")
        now, before = (ts, r["mono"], r["boot"]), self.stamp
        if before is None or kind != "log.segment.opened": self.stamp = now
        if before is not None:
            if before[2] == now[2] and now[1] < before[1]: fail("clock_regression", "the monotonic clock went back within one boot")
            if kind not in ("log.segment.opened", "clock.jump"):
                wall = now[0] - before[0]
                jump = wall - (2 * (now[1] - before[1]) + 1000) // 2000 if before[2] == now[2] else min(wall, 0)
                if abs(jump) > 2000: fail("clock_regression", "the clock jumped without a record of it")
        if "run" in r:
            run, rseq = r["run"], r["rseq"]
            if run not in self.runs:
                known = not self.partial or rseq == 0
                self.runs[run] = [0, ZERO, False] if known else [rseq, r["rprev"], False]
            tally = self.runs[run]
            if rseq != tally[0] or r["rprev"] != tally[1]: fail("run_incomplete", "the run does not continue")
            if kind == "run.closed":
                if tally[2]: fail("schema", "the run was closed twice")
                if not same(data.get("records"), rseq + 1): fail("run_incomplete", "the run was closed with another count")
                tally[2] = True
            tally[0], tally[1] = rseq + 1, leaf
        self.seq, self.head, self.bytes = self.seq + 1, leaf, self.bytes + len(line) + 1
        return r


class Front:
    """A log whose front was let go, and what it says of that."""
    def __init__(self): self.pruning, self.first, self.begun, self.cut = None, None, set(), {}

    def see(self, r):
        if self.first is None: self.first = (r["seq"], r["prev"])
        if r["type"] == "log.pruned":
            d = r["data"]
            def rows(name, nums, strs):
                return isinstance(d.get(name), list) and all(isinstance(x, dict) and all(type(x.get(n)) is int for n in nums)
                                                             and all(isinstance(x.get(s), str) for s in strs) for x in d[name])
            good = type(d.get("to_seq")) is int and rows("segments", ["first_seq"], ["last"]) and rows("spans", ["records"], ["run", "last"])
            self.pruning = (r["seq"], d) if good else None
        run = r.get("run")
        if self.first[0] == 0 or run is None or run in self.begun: return
        self.begun.add(run)
        if r["rseq"] != 0 and len(self.cut) < 10000: self.cut[run] = (r["seq"], r["rseq"], r["rprev"])

    def judge(self):
        if self.first is None or self.first[0] == 0: return
        by, d = self.pruning or (0, {"segments": [], "to_seq": -1})
        ends = [s["first_seq"] for s in d["segments"][1:]] + [d["to_seq"]]
        last = next((s["last"] for s, end in zip(d["segments"], ends) if end == self.first[0]), None)
        if self.pruning is None or last is None: raise Fail("pruned_undeclared", 0, "what came before is not here, and no record lets it go")
        if last != self.first[1]: raise Fail("prev_mismatch", self.first[0], "does not continue what was let go")
        spans = {s["run"]: s for s in d["spans"]}
        for run, (seq, rseq, rprev) in self.cut.items():
            s = spans.get(run)
            if seq >= d["to_seq"] and (s is None or s["records"] != rseq or s["last"] != rprev):
                raise Fail("run_incomplete", seq, "the run began before, and nothing says so")


class Heartbeats:
    START = {"daemon.started", "daemon.crashed", "log.recovered", "log.loss.acknowledged", "log.segment.opened", "log.segment.closed", "clock.jump"}
    def __init__(self): self.gap = self.before = None; self.kept = False

    def see(self, r):
        before, self.before, kind = self.before, r, r["type"]
        if kind in ("key.created", "key.rotated", "log.heartbeat"): self.kept = True
        if kind == "key.created" or not self.kept or self.gap is not None or before is None: return
        if before["boot"] != r["boot"] or before["type"] == "daemon.stopped" or kind in self.START: return
        if r["mono"] - before["mono"] > 125 * 60 * 1000000: self.gap = r["seq"]


# --- keys --------------------------------------------------------------------------------------------
class Epochs:
    def __init__(self): self.list, self.records, self.found = [], {}, None

    def see(self, r, first):
        d = r["data"]
        if r["type"] == "log.loss.acknowledged" and type(d.get("found_size")) is int: self.found = d["found_size"]
        if r["type"] in ("key.created", "key.rotated"): self.records[r["seq"]] = (r["type"], d, self.found)
        if r["type"] == "log.carried" and type(d.get("of")) is int and isinstance(d.get("line"), str) and d["of"] < first:
            told = parse_json(d["line"].encode())
            if isinstance(told, dict) and told.get("type") in ("key.created", "key.rotated") and isinstance(told.get("data"), (dict, list)):
                self.records[d["of"]] = (told["type"], told["data"] if isinstance(told["data"], dict) else {}, None)

    def settle(self):
        for seq in sorted(self.records):
            kind, data, found = self.records[seq]
            if self.add(kind, seq, data, found): return seq
        return None

    def add(self, kind, seq, d, found=None):
        """True where it contradicts what came before."""
        key = parse_vkey(d["vkey"]) if isinstance(d.get("vkey"), str) else None
        if not key or key["kind"] != 1: return True
        chained, epoch, previous = kind == "key.rotated", d.get("epoch"), d.get("previous")
        number = type(epoch) is int
        if not self.list:
            before = parse_vkey(previous) if chained and isinstance(previous, str) else None
            if chained and (not before or before["kind"] != 1) or not number: return True
            if before: self.list.append({"epoch": epoch - 1, "seq": -1, "key": before, "chained": False, "found": None})
        else:
            last = self.list[-1]
            if not number or epoch != last["epoch"] + 1: return True
            if chained and previous != last["key"]["vkey"] or not chained and "lost" not in d: return True
        self.list.append({"epoch": epoch, "seq": seq, "key": key, "chained": chained, "found": None if chained else found})
        return False

    def of(self, size):
        return next((e for e in reversed(self.list) if e["seq"] + 1 < size), self.list[0] if self.list else None)

    def judge(self, c):
        expected = self.of(c["size"])
        if expected is None or c["origin"] != expected["key"]["name"]: return "bad_signature"
        said = signed_by(c["note"], expected["key"])
        if is_signed(said): return "signed"
        others = [e for e in self.list if e is not expected and is_signed(signed_by(c["note"], e["key"]))]
        if any(e["epoch"] > by["epoch"] and e["found"] is not None and c["size"] > e["found"] for by in others for e in self.list): return "void"
        return "wrong_epoch_key" if others and said == "absent" else "bad_signature"

    def reached(self, trusted):
        reached, on = set(), False
        for e in self.list:
            on = e["epoch"] in trusted or (on and e["chained"])
            if on: reached.add(e["epoch"])
        return reached


# --- findings ------------------------------------------------------------------------------------------
MILD = {"empty": 2, "unreadable": 2, "no_key": 2, **dict.fromkeys("torn_tail partial run_incomplete heartbeat_gap unpinned unsigned unanchored".split(), 3)}
RANK = (0, 3, 2, 1)


class Findings:
    def __init__(self): self.all = []
    def add(self, reason, seq, detail, file="", offset=0, proven=False):
        self.all.append((1 if proven else MILD.get(reason, 1), {"reason": reason, "seq": seq, "file": file, "offset": offset, "detail": detail}))
    def fail(self, f): self.add(f.reason, f.seq, f.detail, f.file, f.offset, proven=True)
    def verdict(self, **more):
        ordered = sorted(self.all, key=lambda x: -RANK[x[0]])
        first = ordered[0][1] if ordered else {}
        return {"exit": ordered[0][0] if ordered else 0, "reason": first.get("reason"), "seq": first.get("seq"),
                "findings": [f for _, f in ordered], **more}


# --- a log -----------------------------------------------------------------------------------------------
def is_file(path):
    try: return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError: return False


def tile_name(level, index):
    path, index = "%03d" % (index % 1000), index // 1000
    while index: path, index = "x%03d/%s" % (index % 1000, path), index // 1000
    return f"tile/{level}/{path}"


def read_tile(folder, level, index):
    try:
        with open(os.path.join(folder, tile_name(level, index)), "rb") as f: return f.read(8193)
    except OSError: return None


def read_notes(path, limit):
    """Notes of checkpoints.log with their offsets; 'torn' or 'wrong' in place of what is none."""
    with open(path, "rb") as f:
        at = 0
        while at < limit:
            f.seek(at)
            window = f.read(min(WINDOW, limit - at))
            text = window.find(b"\n\n")
            end = window.find(b"\n\n", text + 2) if text >= 0 else -1
            if end < 0:
                yield at, "wrong" if len(window) == WINDOW else "torn"
                return
            yield at, window[:end + 1]
            at += end + 2


def lines_of(path):
    """Lines cut at byte 10 and nothing else; at last (offset, bytes without an end, True)."""
    with open(path, "rb") as f:
        size, at = os.fstat(f.fileno()).st_size, 0
        while at < size:
            line = f.readline(LINE_MAX + 1)
            if line.endswith(b"\n"):
                yield at, line[:-1], False
            else:
                more = line
                while len(line) > LINE_MAX and more and not more.endswith(b"\n"): more = f.readline(1 << 20)
                if more.endswith(b"\n") and more is not line: raise Fail("oversize", -1, "the line is too long", at)
                yield at, line, True
                return
            at += len(line)


class Log:
    def __init__(self, path, trust):
        self.path, self.trust, self.found = path, trust, Findings()
        self.reasons, self.epochs, self.front, self.beats = [], Epochs(), Front(), Heartbeats()
        self.carried, self.doctored, self.tree, self.roots, self.trusted = {}, None, None, {}, 0
        self.signed, self.witnessed, self.evidence, self.origin = None, None, [], None

    def verify(self):
        path, single = self.path, not os.path.isdir(self.path)
        self.folder = os.path.dirname(path) if single else path
        heads = None if single else self.read_heads()
        self.expected = [h for h in ((heads, "heads"), (self.trust["expect"], "outside")) if h[0] and h[0][0] > 0]
        segments = self.segments(single)
        first = segments[0][0] if segments else 0
        self.gather(max(first, 0), not single)
        first = max(first, 0) if not single or first >= 0 else self.first_seq(segments[0][1])
        self.chain, failure, self.met, torn = Chain(first), None, set(), None
        try: torn = self.scan(segments, single)
        except Fail as f:
            failure = f
            if f.seq == -1: f.seq = self.chain.seq
            self.found.fail(f)
        if failure is None: self.finish(single, first, torn)
        self.judge(single, first, failure)
        size = self.chain.seq
        return self.found.verdict(records=size - first, head={"size": size, "hash": self.chain.head if size > first else ZERO},
                                  origin=self.origin, signed=self.signed, trusted=self.trusted, witnessed=self.witnessed,
                                  evidence=self.evidence, reach=self.reach(first, size))

    def reach(self, first, size):
        parts, at = [], first
        who = ", ".join(f"{n} at {t} s" for n, t in (self.witnessed or (0, []))[1])
        marks = ((self.witnessed[0] if self.witnessed else 0, "witnessed by " + who), (self.trusted, "vouched for from outside"),
                 (self.signed[0] if self.signed else 0, "signed, by a key that nothing from outside vouches for"), (size, "chained only"))
        for end, how in marks:
            if min(end, size) > at: parts, at = parts + [f"records {at} to {min(end, size) - 1} {how}"], min(end, size)
        return "; ".join(parts) or "nothing was checked"

    def read_heads(self):
        try:
            with open(os.path.join(self.path, "heads.jsonl"), "rb") as f:
                size = os.fstat(f.fileno()).st_size
                f.seek(max(0, size - 4096))
                window = f.read(4096)
        except FileNotFoundError: return None
        feed = window.rfind(b"\n")
        if feed < 0:
            if size > 4096: self.found.add("schema", 0, "a line is too long to be a head", "heads.jsonl")
            return None
        line = window[window.rfind(b"\n", 0, feed) + 1:feed]
        m = re.fullmatch(rb'\{"hash":"([0-9a-f]{64})","size":([0-9]{1,16})\}', line)
        if m is None:
            self.found.add("schema", 0, "the newest line is no head", "heads.jsonl")
            return None
        return int(m[2]), m[1].decode()

    def segments(self, single):
        if single:
            m = re.fullmatch(r"([0-9]{16})\.jsonl", os.path.basename(self.path))
            return [(int(m[1]) if m else -1, self.path)]
        folder = os.path.join(self.path, "segments")
        folder = folder if os.path.lexists(folder) else self.path
        names = sorted(n for n in os.listdir(folder) if re.fullmatch(r"[0-9]{16}\.jsonl", n))
        return [(int(n[:16]), os.path.join(folder, n)) for n in names if is_file(os.path.join(folder, n))]

    def first_seq(self, path):
        try:
            for _, line, torn in lines_of(path):
                m = None if torn else re.search(rb'"seq":([0-9]{1,16}),"sev":', line)
                return int(m[1]) if m else 0
        except Fail: pass
        return 0

    def own(self, first_time=False):
        path = os.path.join(self.folder, "checkpoints.log")
        if first_time: self.limit = os.stat(path).st_size if os.path.isfile(path) else 0
        for at, raw in read_notes(path, self.limit) if self.limit else ():
            c = parse_checkpoint(raw) if isinstance(raw, bytes) else None
            if c is None:
                if first_time: self.notes.append(("torn_tail" if raw == "torn" else "schema", 0, "what stands here is no checkpoint", "checkpoints.log", at))
                break
            yield c, "checkpoints.log", at
        try:
            if first_time:
                self.newest = None
                with open(os.path.join(self.folder, "checkpoint"), "rb") as f: self.newest = f.read(2 * WINDOW)
        except OSError: pass
        if self.newest is None: return
        c = parse_checkpoint(self.newest)
        if c is not None: yield c, "checkpoint", 0
        elif first_time: self.notes.append(("schema", 0, "this is no checkpoint", "checkpoint", 0))

    def gather(self, first, whole):
        self.notes = []
        self.sizes = sorted({c["size"] for c, _, _ in self.own(True)} | {c["size"] for c in self.trust["outside"]})
        self.tree, self.next = Tree(lambda level, index, raw: self.compare(level, index, raw, first)), 0
        self.note()
        if first and whole:
            for at in range(0, first, 256):
                tile = read_tile(self.folder, 0, at // 256)
                if tile is None or len(tile) != 8192: break
                for seq in range(at, min(at + 256, first)): self.add(tile[(seq - at) * 32:(seq - at + 1) * 32])
        if self.tree.size < first: self.tree = None

    def add(self, leaf):
        self.tree.add(leaf)
        self.note()

    def note(self):
        if self.next < len(self.sizes) and self.sizes[self.next] == self.tree.size:
            self.roots[self.tree.size] = self.tree.root()
            self.next += 1

    def compare(self, level, index, raw, first):
        seq = index * 256 ** (level + 1)
        if self.doctored or seq < first: return
        tile = read_tile(self.folder, level, index)
        if tile is not None and tile != raw: self.doctored = (seq, tile_name(level, index))

    def scan(self, segments, single):
        chain = self.chain
        for i, (first, path) in enumerate(segments):
            name, named = os.path.basename(path), chain.seq if single and first < 0 else first
            if i > 0 and not chain.sealed:
                raise Fail("missing_segment" if named > chain.seq else "schema", chain.seq, "the segment before has no end", 0, name)
            if named != chain.seq: raise Fail("missing_segment", chain.seq, "the log goes on elsewhere", 0, name)
            chain.begin()
            start = chain.seq
            try:
                for at, line, torn in lines_of(path):
                    if torn:
                        if i + 1 < len(segments): raise Fail("torn_tail", chain.seq, "bytes without a line feed, and a later segment", at, name)
                        return at, name
                    r = chain.accept(line, at, name)
                    self.see(r, segments[0][0] if not single else None, at, name)
            except Fail as f:
                f.file = f.file or name
                raise
        return None

    def see(self, r, _first, at, name):
        first = self.first = getattr(self, "first", r["seq"])
        self.epochs.see(r, first)
        d = r["data"]
        if r["type"] == "log.carried" and type(d.get("of")) is int and d["of"] < first: self.carried[d["of"]] = leaf_hash(str(d.get("line")).encode())
        if self.tree and self.tree.size != r["seq"]: self.tree = None
        if self.tree: self.add(bytes.fromhex(self.chain.head))
        self.front.see(r)
        self.beats.see(r)
        if r["type"] in ("log.genesis", "log.pruned"): self.origin = str(d.get("origin"))
        for head, source in self.expected:
            if head[0] == self.chain.seq:
                self.met.add(source)
                if head[1] != self.chain.head: raise Fail("hash_mismatch", r["seq"], "the record is not the one that was noted", at, name)

    def finish(self, single, first, torn):
        chain, found = self.chain, self.found
        for head, source in self.expected:
            if source not in self.met and head[0] > first: found.add("rolled_back", chain.seq, f"{head[0]} records were known, here are {chain.seq}")
        if chain.seq == first: found.add("empty", 0, "there are no records: nothing to check")
        if torn: found.add("torn_tail", chain.seq, "bytes without a line feed at the end", torn[1], torn[0])
        if first > 0 and single: found.add("partial", 0, f"records 0 to {first - 1} are not here")
        if first > 0 and not single:
            try: self.front.judge()
            except Fail as f: found.fail(f)
        if any(not tally[2] for tally in chain.runs.values()): found.add("run_incomplete", 0, "runs are not closed")
        if self.beats.gap is not None: found.add("heartbeat_gap", self.beats.gap, "nothing was said for hours before this record")

    def judge(self, single, first, failure):
        wrong, found, size, trust = self.epochs.settle(), self.found, self.chain.seq, self.trust
        for n in self.notes: found.add(*n)
        if wrong is not None: found.add("wrong_epoch_key", wrong, "a record about keys contradicts those before it")
        if self.tree:
            try: self.judge_notes(wrong is None, failure, first)
            except Fail as f: found.add(f.reason, f.seq, f.detail, f.file, f.offset)
            for seq, leaf in self.carried.items():
                tile = read_tile(self.folder, 0, seq // 256)
                if tile is None or tile[seq % 256 * 32:seq % 256 * 32 + 32] != leaf:
                    found.add("hash_mismatch", seq, "a record that was let go was another one")
                    break
        some = failure is None and size > first
        if trust["keys"] and not (single and first > 0) and some:
            known = {e["key"]["vkey"] for e in self.epochs.list}
            missing = [k for k in trust["keys"] if k["vkey"] not in known]
            if len(missing) == len(trust["keys"]):
                seq = next((e["seq"] for e in self.epochs.list if e["seq"] >= 0), first)
                found.add("wrong_epoch_key", seq, "the log knows no key that was pinned")
            elif any(k["name"] == self.epochs.list[0]["key"]["name"] for k in missing):
                found.add("rolled_back", size, "the log ends before a key that was pinned")
        if self.doctored: found.add("hash_mismatch", self.doctored[0], "the tile is not what the records give", self.doctored[1])
        self.trusted = min(self.trusted, size)
        if not some: return
        covered = self.trusted if trust["keys"] else (self.signed or (0,))[0]
        if first > 0 and not single and self.tree and (self.sizes or self.epochs.list) and self.front.pruning and self.front.pruning[0] >= covered:
            found.add("pruned_undeclared", 0, "the record that lets the front go is not covered by a checkpoint", proven=True)
        if trust["keys"] and size - self.trusted > UNSIGNED_MAX: found.add("unsigned", self.trusted, "nothing that is pinned vouches for the rest")
        elif trust["keys"] and self.trusted == 0: found.add("unsigned", 0, "nothing that is pinned vouches for any record")
        elif (self.sizes or self.epochs.list) and self.trusted == 0 and "outside" not in self.met:
            found.add("unpinned", 0, "its keys are known from itself only: it is internally consistent")
        policy = trust["policy"]
        if policy:
            anchor = self.signed if policy["quorum"] == "none" else self.witnessed
            anchored = anchor[0] if anchor else 0
            if anchored == 0 or (policy["max"] is not None and size - anchored > policy["max"]): found.add("unanchored", anchored, "the policy asks for more")

    def judge_notes(self, settled, failure, first):
        policy, finals, used, good = self.trust["policy"], set(), set(), {}
        for c, file, at in self.own():
            size, root = c["size"], self.roots.get(c["size"])
            if root is None and (failure or size <= self.chain.seq): continue
            oldest = self.epochs.list[0] if self.epochs.list else None
            judged = "unknown" if oldest is None else self.epochs.judge(c)
            if judged != "signed" and oldest and first > 0 and oldest["epoch"] > 0 and size <= first: judged = "void"
            if judged == "void": continue
            seq = max(0, size - 1)
            if judged not in ("signed", "unknown"):
                if settled: raise Fail(judged, seq, f"the checkpoint of {size} records is not signed by the key of its epoch", at, file)
                return
            if root is None: raise Fail("rolled_back", self.chain.seq, f"a checkpoint is of {size} records", at, file)
            if root != c["root"]: self.contradicted(c, file, at)
            cosigned = cosigners(c["note"], policy) if policy else []
            if cosigned is None: raise Fail("bad_signature", seq, "a witness did not sign as it says", at, file)
            if judged == "unknown": continue
            e = self.epochs.of(size)
            finals |= {o["epoch"] for o in self.epochs.list if o["seq"] + 1 == size}
            used.add(e["epoch"])
            good[e["epoch"]] = max(good.get(e["epoch"], 0), size)
            if self.signed is None or size > self.signed[0]: self.signed = (size, e["epoch"])
            if policy and cosigned and is_quorum(policy, {n for n, _ in cosigned}) and size >= (self.witnessed or (0,))[0]: self.witnessed = (size, cosigned)
        for e in self.epochs.list:
            if e["chained"] and e["epoch"] in used and e["epoch"] not in finals:
                raise Fail("wrong_epoch_key", e["seq"], "the key before did not sign for this one", 0, "checkpoints.log")
        for c in self.trust["outside"]:
            root = self.roots.get(c["size"])
            if root is None:
                if failure: continue
                raise Fail("rolled_back", self.chain.seq, f"a checkpoint kept elsewhere is of {c['size']} records")
            if root != c["root"]: self.contradicted(c, "", 0)
            self.trusted = max(self.trusted, c["size"])
        pins = {k["vkey"] for k in self.trust["keys"]}
        trusted = {e["epoch"] for e in self.epochs.list if e["key"]["vkey"] in pins or 0 <= e["seq"] < self.trusted}
        self.trusted = max([self.trusted] + [good.get(e, 0) for e in self.epochs.reached(trusted)])

    def contradicted(self, c, file, at):
        for other, _, _ in self.own():
            size = other["size"]
            if 0 < size >= c["size"] and self.roots.get(size) == other["root"] and self.epochs.judge(other) == "signed":
                if self.epochs.judge(c) != "signed": break
                self.evidence += [c["note"]["raw"], other["note"]["raw"]]
                raise Fail("fork", max(0, c["size"] - 1), "two checkpoints that contradict each other were signed", at, file)
        raise Fail("hash_mismatch", max(0, c["size"] - 1), "the records do not give the root that was signed", at, file)


# --- an extract and a proof ------------------------------------------------------------------------------
NAMES = ("manifest.json", "records.jsonl", "proofs.jsonl", "checkpoint", "epochs.jsonl")


def octal(field):
    m = re.fullmatch(rb" *([0-7]{1,11})[ \0]*", field)
    return int(m[1], 8) if m else None


def read_bundle(path):
    found = {}
    if os.path.isdir(path):
        for name in NAMES:
            full = os.path.join(path, name)
            if not is_file(full): continue
            if os.lstat(full).st_size > BUNDLE_MAX: raise Bad("a file is too long")
            with open(full, "rb") as f: found[name] = f.read()
    else:
        with open(path, "rb") as f:
            total, at = os.fstat(f.fileno()).st_size, 0
            for entries in range(66):
                if entries > 64: raise Bad("too many entries")
                f.seek(at)
                head = f.read(512)
                if len(head) < 512: raise Bad("no end")
                if not any(head): break
                size, name = octal(head[124:136]), head[:100].split(b"\0")[0].decode("latin-1")
                if octal(head[148:156]) != sum(head) - sum(head[148:156]) + 256 or head[257:262] != b"ustar": raise Bad("no header")
                if head[156] not in b"0\0" or size is None: raise Bad("no plain file")
                if head[345:500].split(b"\0")[0]: name = ""
                at += 512
                if at + size > total: raise Bad("cut short")
                if name in NAMES:
                    if name in found or size > BUNDLE_MAX: raise Bad("twice, or too long")
                    found[name] = f.read(size)
                at += -(-size // 512) * 512
    if any(name not in found for name in NAMES): raise Bad("a file is not there")
    return found


def split_lines(raw):
    parts = raw.split(b"\n")
    return parts[:-1], parts[-1]


class Bundle:
    def __init__(self, files, trust):
        self.files, self.trust, self.found, self.epochs = files, trust, Findings(), Epochs()
        self.records, self.first, self.last, self.head, self.trusted = 0, 0, -1, ZERO, 0
        self.signed, self.witnessed, self.evidence, self.origin = None, None, [], None

    def verify(self):
        try: self.check()
        except Fail as f: self.found.fail(f)
        return self.found.verdict(records=self.records, origin=self.origin, signed=self.signed, trusted=self.trusted, witnessed=self.witnessed,
                                  evidence=self.evidence, reach=f"{self.records} records of the run" + (", vouched for from outside" if self.trusted else ""))

    def check(self):
        m = parse_json(self.files["manifest.json"])
        if not isinstance(m, dict) or m.get("format") != "orchestra-extract/1" or not isinstance(m.get("run"), str) or not isinstance(m.get("files"), dict):
            raise Fail("schema", 0, "this is no manifest of an extract", 0, "manifest.json")
        c = parse_checkpoint(self.files["checkpoint"])
        if c is None: raise Fail("schema", 0, "this is no checkpoint", 0, "checkpoint")
        self.origin = c["origin"]
        self.check_keys(c)
        self.check_records(m["run"], c)
        if self.records == 0: return
        claims = (("origin", c["origin"]), ("records", self.records), ("first_seq", self.first), ("last_seq", self.last),
                  ("tree_size", c["size"]), ("root", base64.b64encode(c["root"]).decode()))
        for name, value in claims:
            if isinstance(m.get(name), bool) or m.get(name) != value: raise Fail("schema", 0, f"{name} is not what is in the bundle", 0, "manifest.json")
        for name in NAMES[1:]:
            if m["files"].get(name) != hashlib.sha256(self.files[name]).hexdigest(): raise Fail("hash_mismatch", 0, "not the file that the manifest names", 0, name)
        policy = self.trust["policy"]
        if policy:
            by = cosigners(c["note"], policy)
            if by is None: raise Fail("bad_signature", max(0, c["size"] - 1), "a witness did not sign as it says", 0, "checkpoint")
            if not is_quorum(policy, {n for n, _ in by}): self.found.add("unanchored", 0, "the policy asks for more witnesses", "checkpoint")
            elif by: self.witnessed = (c["size"], by)

    def check_keys(self, c):
        lines, torn = split_lines(self.files["epochs.jsonl"])
        for line in lines + ([torn] if torn else []): self.check_key(line, c)
        judged, seq, listed = self.epochs.judge(c), max(0, c["size"] - 1), self.epochs.list
        if judged != "signed":
            raise Fail("wrong_epoch_key" if judged == "wrong_epoch_key" else "bad_signature", seq, "the key of its epoch did not sign the checkpoint", 0, "checkpoint")
        self.signed = (c["size"], self.epochs.of(c["size"])["epoch"])
        for o in self.trust["outside"]:
            if o["size"] != c["size"]: continue
            if o["root"] == c["root"]: self.trusted = c["size"]; continue
            fork = self.epochs.judge(o) == "signed"
            if fork: self.evidence += [o["note"]["raw"], c["note"]["raw"]]
            raise Fail("fork" if fork else "hash_mismatch", seq, "the checkpoint contradicts one kept elsewhere", 0, "checkpoint")
        pins = {k["vkey"] for k in self.trust["keys"]}
        trusted = {e["epoch"] for e in listed if e["key"]["vkey"] in pins}
        if pins and not trusted:
            raise Fail("wrong_epoch_key", next((e["seq"] for e in listed if e["seq"] >= 0), 0), "the bundle knows no key that was pinned", 0, "epochs.jsonl")
        if self.signed[1] in self.epochs.reached(trusted): self.trusted = c["size"]
        if self.trusted == 0: self.found.add("unpinned", 0, "its keys are known from itself only: it is internally consistent")

    def check_key(self, line, c):
        row = parse_json(line)
        if not isinstance(row, dict) or set(row) != {"epoch", "seq", "line", "proof", "checkpoint", "consistency"} or isinstance(row["seq"], bool) or not is_count(row["seq"]):
            raise Fail("schema", 0, "the line does not tell of a key", 0, "epochs.jsonl")
        seq, text, proof, consistency = int(row["seq"]), row["line"], parse_proof(row["proof"]), parse_proof(row["consistency"])
        def fail(reason, detail, at=seq): raise Fail(reason, at, detail, 0, "epochs.jsonl")
        if not isinstance(text, str) or not isinstance(row["checkpoint"], str) or proof is None or consistency is None or re.search("[\ud800-\udfff]", text):
            fail("schema", "the line does not tell of a key")
        r = read_record(text.encode(), seq, 0, "epochs.jsonl")
        d, kind = r["data"], r["type"]
        epochs = d.get("epoch"), row["epoch"]
        same = all(map(is_num, epochs)) or all(isinstance(e, str) for e in epochs) or all(isinstance(e, bool) for e in epochs)
        if r["seq"] != seq or not same or epochs[0] != epochs[1] or kind not in ("key.created", "key.rotated"):
            fail("schema", "the record is not about this key")
        own = parse_checkpoint(re.sub("[\ud800-\udfff]", "\ufffd", row["checkpoint"]).encode())
        if own is None: fail("schema", "the checkpoint beside the key is none")
        if not includes(seq, own["size"], leaf_hash(text.encode()), own["root"], proof): fail("hash_mismatch", "the record of the key is not in the log that was signed")
        if own["note"]["text"] != c["note"]["text"] and not is_consistent(own["size"], c["size"], own["root"], c["root"], consistency):
            self.evidence += [own["note"]["raw"], c["note"]["raw"]]
            fail("fork", "the checkpoints are not of one log", max(0, own["size"] - 1))
        if kind == "key.rotated":
            key = parse_vkey(d["previous"]) if isinstance(d.get("previous"), str) else None
            if key is None: fail("wrong_epoch_key", "the record names no key before it")
            if own["size"] != seq + 1: fail("schema", "the checkpoint is not the last of the key before")
            if own["origin"] != key["name"] or not is_signed(signed_by(own["note"], key)): fail("bad_signature", "the key before did not sign for this one")
        if self.epochs.add(kind, seq, d): fail("wrong_epoch_key", "the record contradicts those before it")

    def check_records(self, run, c):
        (lines, torn), proofs = split_lines(self.files["records.jsonl"]), split_lines(self.files["proofs.jsonl"])[0]
        following, closing, at, file = None, False, 0, "records.jsonl"
        for i, line in enumerate(lines):
            r = read_record(line, 0 if i == 0 else self.last + 1, at, file)
            seq, rseq, rprev = r["seq"], r.get("rseq", -1), r.get("rprev")
            def fail(reason, detail, name=file): raise Fail(reason, seq, detail, at, name)
            if r.get("run") != run: fail("schema", "the record is of another run")
            if i > 0 and seq <= self.last: fail("seq_duplicate", "the numbers do not ascend")
            following = rseq if following is None else following
            if rseq != following or (rprev != ZERO if rseq == 0 else i > 0 and rprev != self.head): fail("run_incomplete", "the run does not continue")
            if i > 0 and seq == self.last + 1 and r["prev"] != self.head: fail("prev_mismatch", "does not continue the record before it, or that was changed")
            p = parse_json(proofs[i]) if i < len(proofs) else None
            good = isinstance(p, dict) and set(p) == {"proof", "seq"} and not isinstance(p["seq"], bool) and is_num(p["seq"]) and p["seq"] == seq
            proof = parse_proof(p["proof"]) if good else None
            if proof is None: fail("schema", "there is no proof of the record", "proofs.jsonl")
            if not includes(seq, c["size"], leaf_hash(line), c["root"], proof): fail("hash_mismatch", "the record is not in the log that was signed, or was changed")
            if r["type"] == "run.closed":
                n = r["data"].get("records")
                if type(n) is not int or n != rseq + 1: fail("run_incomplete", "the run was closed with another count")
                closing = True
            if i == 0: self.first = seq
            self.records, self.last, self.head, following, at = self.records + 1, seq, leaf_hash(line).hex(), following + 1, at + len(line) + 1
        if len(proofs) > len(lines): raise Fail("schema", self.last + 1, "there are more proofs than records", 0, "proofs.jsonl")
        if torn: self.found.add("torn_tail", self.last + 1, "the last line is cut short", file, at)
        if not lines:
            self.found.add("empty", 0, "there are no records: nothing to check", file)
            return
        if following > self.records: self.found.add("partial", 0, "the first records of the run are not here", file)
        if not closing: self.found.add("run_incomplete", self.last + 1, "the run is not closed in here", file)


def verify_proof(raw, line, trust):
    found, line = Findings(), line[:-1] if line.endswith(b"\n") else line
    try: judge_proof(raw, line, trust, found)
    except Fail as f: found.fail(f)
    return found.verdict(records=0 if any(e in (1, 2) for e, _ in found.all) else 1, reach="one record")


def judge_proof(raw, line, trust, found):
    bad = Fail("schema", 0, "this is no proof")
    try: head, *rest = raw.decode("utf-8").split("\n")
    except UnicodeError: raise bad
    if rest and rest[0].startswith("extra "): rest = rest[1:]
    m = re.fullmatch("index ([0-9]+)", rest[0]) if rest else None
    index = parse_size(m[1]) if m else None
    proof = parse_proof(rest[1:rest.index("")]) if "" in rest[1:] else None
    if head != "c2sp.org/tlog-proof@v1" or index is None or proof is None: raise bad
    c = parse_checkpoint("\n".join(rest[rest.index("") + 1:]).encode())
    if c is None: raise bad
    r = read_record(line, index, 0, "")
    if r["seq"] != index or not includes(index, c["size"], leaf_hash(line), c["root"], proof):
        raise Fail("hash_mismatch", index, "the record is not in the log that was signed, or was changed")
    said = [(k, signed_by(c["note"], k)) for k in trust["keys"]]
    if any(s == "wrong" for _, s in said): raise Fail("bad_signature", index, "a key that was pinned did not sign as it says")
    outside = any(o["size"] == c["size"] and o["root"] == c["root"] for o in trust["outside"])
    if not outside and not any(k["name"] == c["origin"] and is_signed(s) for k, s in said): 
        found.add("no_key" if trust["keys"] else "unpinned", index, "no key that was given signed it")
    policy = trust["policy"]
    if policy:
        by = cosigners(c["note"], policy)
        if by is None: raise Fail("bad_signature", max(0, c["size"] - 1), "a witness did not sign as it says")
        if not is_quorum(policy, {n for n, _ in by}): found.add("unanchored", index, "the policy asks for more witnesses")


# --- the whole ---------------------------------------------------------------------------------------------
def read_trust(keys=(), checkpoints=(), policy=None, expect=None):
    trust = {"keys": [], "outside": [], "policy": None, "expect": None}
    for vkey in keys:
        key = parse_vkey(vkey)
        if not key or key["kind"] != 1: raise Bad("a key that was given is none")
        trust["keys"].append(key)
    for raw in checkpoints:
        c = parse_checkpoint(raw)
        if c is None: raise Bad("a checkpoint that was given is none")
        trust["outside"].append(c)
    if policy is not None:
        trust["policy"] = parse_policy(policy)
        trust["keys"] += trust["policy"]["logs"]
    if expect is not None:
        m = re.fullmatch("([0-9]{1,15}):([0-9a-f]{64})", expect)
        if not m: raise Bad("--expect is written SIZE:HASH")
        trust["expect"] = (int(m[1]), m[2])
    return trust


def unchecked(why):
    found = Findings()
    found.add("unreadable", 0, f"could not be read: {why}")
    return found.verdict(records=0, reach="nothing was checked")


def verify(path, record=None, **outside):
    try:
        trust = read_trust(**outside)
        if os.path.isdir(path):
            there = all(os.path.lexists(os.path.join(path, n)) for n in NAMES[:2])
            return Bundle(read_bundle(path), trust).verify() if there else Log(path, trust).verify()
        with open(path, "rb") as f: head = f.read(512)
        if head.startswith(b"c2sp.org/tlog-proof@v1\n") and os.stat(path).st_size <= 4 * NOTE_MAX:
            if record is None: raise Bad("a proof needs the line of its record")
            with open(path, "rb") as f: return verify_proof(f.read(), record, trust)
        if len(head) == 512 and head[0] != 0x7B and head[257:262] == b"ustar": return Bundle(read_bundle(path), trust).verify()
        return Log(path, trust).verify()
    except (Bad, OSError) as why: return unchecked(why)


def read_file(path):
    with open(path, "rb") as f: return f.read()


def serve():
    for line in sys.stdin.buffer:
        case = json.loads(line)
        raw = lambda text: None if text is None else base64.b64decode(text)
        answer = verify(case["path"], record=raw(case.get("record")), keys=case.get("keys", ()), expect=case.get("expect"),
                        checkpoints=[raw(x) for x in case.get("checkpoints", ())], policy=raw(case.get("policy")))
        sys.stdout.write(json.dumps({k: answer[k] for k in ("exit", "reason", "seq")}) + "\n")
        sys.stdout.flush()


def main(argv):
    import argparse
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path")
    parser.add_argument("--key", action="append", default=[])
    parser.add_argument("--checkpoint", action="append", default=[])
    for name in ("--policy", "--expect", "--record"): parser.add_argument(name)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    try:
        optional = lambda name: read_file(name) if name else None
        outside = {"checkpoints": [read_file(c) for c in args.checkpoint], "policy": optional(args.policy), "record": optional(args.record)}
    except OSError as why: v = unchecked(why)
    else: v = verify(args.path, keys=args.key, expect=args.expect, **outside)
    if args.json: print(json.dumps(v, indent=2))
    else:
        words = ("verified", "NOT INTACT", "could not be checked", "sound but incomplete")
        print(f"{words[v['exit']]}: {v['records']} records\n  reach  {v['reach']}")
        for f in v["findings"]: print(ascii(f"  {f['reason']} {f['file']} byte {f['offset']} record {f['seq']}: {f['detail']}")[1:-1])
        for note in v.get("evidence", ()): print("  signed\n    " + "\n    ".join(ascii(x)[1:-1] for x in note.rstrip().split("\n")))
    return v["exit"]


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:] == ["--serve"] else main(sys.argv[1:]))
