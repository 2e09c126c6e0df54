import * as fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { AskTerms } from '#contract/requests.ts';
import { isEnough } from '#daemon/runs/requests/entitled.ts';
import { Asked, asker, askedRun, person } from '#test/support/asked.ts';

const owner = person(1000, { isOwner: true });
const ada = person(2001);
const bob = person(2002);
const unknown = person(undefined);
const hour = 3_600_000;

afterEach(() => {
  vi.useRealTimers();
});

describe('leave is not given', () => {
  test('by who submitted the run, where the rule wants somebody else', async () => {
    const it = await Asked.open();
    const request = await it.ask({ self: false });
    await expect(it.answer(request, owner, 'approve')).rejects.toThrow('your own');
    expect(request.state).toBe('open');
  });

  test('by an admin for his own run either: the rule is about people', async () => {
    const it = await Asked.open();
    const request = await it.ask({ self: false });
    const admin = person(1000, { roles: ['admin'], isOwner: true });
    await expect(it.answer(request, admin, 'approve')).rejects.toThrow('your own');
  });

  test.each<[string, Partial<AskTerms>]>([
    ['where it takes somebody else', { self: false }],
    ['where it takes two', { approvals: 2 }],
  ])('by somebody whom the system does not know, %s', async (_name, terms) => {
    const it = await Asked.open();
    const request = await it.ask(terms);
    await expect(it.answer(request, unknown, 'approve')).rejects.toMatchObject({
      code: 'access.denied',
    });
  });

  test('by anybody, where nobody knows who submitted a run that takes somebody else', async () => {
    const it = await Asked.open({ kind: 'user', auth: 'socket' });
    const request = await it.ask({ self: false });
    await expect(it.answer(request, ada, 'approve')).rejects.toThrow('nobody knows who submitted');
  });

  test('by somebody who is on one list and not on the other', async () => {
    const it = await Asked.open();
    const request = await it.ask({ from: [['approver'], ['group:security', 'user:eve']] });
    await expect(it.answer(request, ada, 'approve')).rejects.toThrow('group:security or user:eve');
    const both = person(2003, { groups: ['security'] });
    expect(await it.answer(request, both, 'approve')).toMatchObject({ state: 'granted' });
  });

  test.each(['constructor', '__proto__', 'user:', 'uid:', 'group:', 'approver:x', 'toString'])(
    'by virtue of an entry such as %j',
    async (entry) => {
      const it = await Asked.open();
      const request = await it.ask({ from: [[entry]] });
      await expect(
        it.answer(request, person(2001, { roles: ['viewer'] }), 'approve'),
      ).rejects.toMatchObject({ code: 'access.denied' });
    },
  );

  test('for something else than what was shown', async () => {
    const it = await Asked.open();
    const request = await it.ask();
    const other = await it.ask({}, { task: 'other' });
    await expect(it.answer(request, ada, 'approve', { digest: other.shown })).rejects.toMatchObject(
      { code: 'approval.stale' },
    );
  });

  test('after it was asked anew: only what holds now may be answered', async () => {
    const it = await Asked.open();
    const before = await it.ask();
    const now = await it.ask({}, { about: `sha256:${'e'.repeat(64)}` });
    expect(before.state).toBe('withdrawn');
    await expect(it.answer(before, ada, 'approve')).rejects.toMatchObject({
      code: 'approval.stale',
    });
    expect(now.state).toBe('open');
  });

  test('once its time is over, even if no timer said so', async () => {
    const it = await Asked.open();
    const request = await it.ask();
    it.nowMs += hour;
    await expect(it.answer(request, ada, 'approve')).rejects.toThrow('expired');
    expect(request).toMatchObject({ state: 'expired' });
  });

  test('by a question’s value, and no question is answered by leave', async () => {
    const it = await Asked.open();
    const request = await it.ask();
    await expect(it.answer(request, ada, 'value', { value: 'yes' })).rejects.toMatchObject({
      code: 'answer.invalid',
    });
  });

  test('where a name is not there at all', async () => {
    const it = await Asked.open();
    await expect(
      it.requests.answer(
        'a-nowhere',
        { digest: `sha256:${'0'.repeat(64)}`, answer: 'approve' },
        ada,
      ),
    ).rejects.toMatchObject({ code: 'request.unknown' });
  });
});

describe('somebody answers twice', () => {
  test('with the same: it changes nothing and is answered alike, also when all is over', async () => {
    const it = await Asked.open();
    const request = await it.ask({ approvals: 2 });
    await it.answer(request, ada, 'approve');
    await it.answer(request, ada, 'approve');
    expect(request).toMatchObject({ state: 'open' });
    await it.answer(request, bob, 'approve');
    expect(await it.answer(request, ada, 'approve')).toMatchObject({ state: 'granted' });
    expect(it.log.of('request.answered')).toHaveLength(2);
  });

  test('with another answer: that is refused, and the first one stands', async () => {
    const it = await Asked.open();
    const request = await it.ask({ approvals: 2 });
    await it.answer(request, ada, 'approve');
    await expect(it.answer(request, ada, 'deny')).rejects.toMatchObject({ code: 'approval.stale' });
    expect(request.answers.map(({ answer }) => answer)).toEqual(['approve']);
  });
});

describe('one no is enough', () => {
  test('before the second yes, and it says who and why', async () => {
    const it = await Asked.open();
    const request = await it.ask({ approvals: 2 });
    await it.answer(request, ada, 'approve');
    await it.answer(request, bob, 'deny', { reason: 'not on a \u001b[31mFriday\u001b[0m\n' });
    expect(request).toMatchObject({ state: 'denied', reason: expect.stringContaining('Friday') });
    await expect(it.answer(request, person(2003), 'approve')).rejects.toMatchObject({
      code: 'approval.stale',
    });
  });

  test('also of who asked, even where he may not approve', async () => {
    const it = await Asked.open();
    const request = await it.ask({ self: false });
    expect(await it.answer(request, owner, 'deny')).toMatchObject({ state: 'denied' });
  });

  test('and not of somebody who has no say in it', async () => {
    const it = await Asked.open();
    const request = await it.ask();
    await expect(
      it.answer(request, person(3000, { roles: ['runner'] }), 'deny'),
    ).rejects.toMatchObject({ code: 'access.denied' });
  });

  test('of a yes and a no at the same time exactly one counts', async () => {
    const it = await Asked.open();
    const request = await it.ask();
    const [yes, no] = await Promise.allSettled([
      it.answer(request, ada, 'approve'),
      it.answer(request, bob, 'deny'),
    ]);
    expect([yes.status, no.status]).toEqual(['fulfilled', 'rejected']);
    expect(it.log.of('request.closed')).toHaveLength(1);
  });
});

describe('what was granted counts', () => {
  test('for exactly what it was bound to, and for nothing else', async () => {
    const it = await Asked.open();
    await it.answer(await it.ask(), ada, 'approve');
    const other = `sha256:${'f'.repeat(64)}` as const;
    const terms = { approvals: 1, from: [['approver']], self: true };
    expect(it.requests.granted(it.opening(), terms)).toBeDefined();
    for (const field of ['plan', 'policy', 'inputs', 'about'] as const) {
      expect(it.requests.granted(it.opening({}, { [field]: other }), terms)).toBeUndefined();
    }
    expect(it.requests.granted(it.opening({}, { task: 'other' }), terms)).toBeUndefined();
    await it.submitted('r-other00001', asker);
    expect(it.requests.granted(it.opening({}, { run: 'r-other00001' }), terms)).toBeUndefined();
  });

  test('not where more is asked for by now', async () => {
    const it = await Asked.open();
    await it.answer(await it.ask(), ada, 'approve');
    const more: AskTerms[] = [
      { approvals: 2, from: [['approver']], self: true },
      { approvals: 1, from: [['approver'], ['group:security']], self: true },
      { approvals: 1, from: [['admin']], self: true },
    ];
    for (const terms of more) expect(it.requests.granted(it.opening(), terms)).toBeUndefined();
  });

  test('in a run that goes on from it, until its time is over', async () => {
    const it = await Asked.open();
    await it.answer(await it.ask(), ada, 'approve');
    await it.submitted('r-resumed001', asker, askedRun);
    const opening = it.opening({}, { run: 'r-resumed001' });
    const terms = { approvals: 1, from: [['approver']], self: true };
    expect(it.requests.granted(opening, terms)).toBeDefined();
    it.nowMs += hour;
    expect(it.requests.granted(opening, terms)).toBeUndefined();
    expect(it.requests.granted(it.opening(), terms)).toBeDefined();
  });

  test('not where who approved goes on with the run, and the rule wants somebody else', async () => {
    const it = await Asked.open();
    await it.answer(await it.ask({ self: false }), ada, 'approve');
    const terms = { approvals: 1, from: [['approver']], self: false };
    expect(it.requests.granted(it.opening(), terms)).toBeDefined();
    await it.submitted('r-resumed001', ada.actor, askedRun);
    expect(it.requests.granted(it.opening({}, { run: 'r-resumed001' }), terms)).toBeUndefined();
  });
});

describe('a daemon that was killed', () => {
  test('leaves its requests open, with the rest of their time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const it = await Asked.open();
    const { id } = await it.ask();
    it.nowMs += hour / 2;
    await it.restart();
    const request = it.states.find(id);
    expect(request).toMatchObject({ state: 'open' });
    it.nowMs += hour / 2;
    await vi.advanceTimersByTimeAsync(hour / 2);
    expect(request).toMatchObject({ state: 'expired' });
  });

  test('between an answer and its end has the next one draw it', async () => {
    const it = await Asked.open();
    const request = await it.ask();
    it.log.onAppend = ({ type }) => {
      if (type === 'request.closed') throw new Error('killed');
    };
    await expect(it.answer(request, ada, 'approve')).rejects.toThrow('killed');
    it.log.onAppend = () => {};
    await it.restart();
    expect(it.states.find(request.id)).toMatchObject({ state: 'granted' });
  });

  test('does not ask the same a second time', async () => {
    const it = await Asked.open();
    const { id } = await it.ask();
    await it.restart();
    expect((await it.ask()).id).toBe(id);
  });
});

describe('a wait', () => {
  test('ends with the reason of its signal, and what was asked stays asked', async () => {
    const it = await Asked.open();
    const request = await it.ask();
    const stop = new AbortController();
    const wait = it.requests.settled(request, stop.signal);
    stop.abort(new Error('cancelled'));
    await expect(wait).rejects.toThrow('cancelled');
    expect(request.state).toBe('open');
  });

  test('ends when nobody needs it any more', async () => {
    const it = await Asked.open();
    const request = await it.ask();
    const wait = it.requests.settled(request, new AbortController().signal);
    await it.requests.withdraw(askedRun, 'the run is over');
    await wait;
    expect(request).toMatchObject({ state: 'withdrawn' });
  });
});

describe('a question', () => {
  const question = (kind: 'text' | 'choice' | 'confirm' | 'secret', choices?: string[]) => ({
    ask: undefined,
    question: { name: 'TARGET', kind },
    shown: {
      version: 1,
      kind: 'question',
      question: { name: 'TARGET', prompt: 'where to?', kind, choices },
    } as never,
  });

  test.each<[string, Parameters<typeof question>, string]>([
    ['a choice that is none', ['choice', ['a', 'b']], 'c'],
    ['neither yes nor no', ['confirm'], 'maybe'],
    ['a second line', ['text'], 'a\nb'],
    ['a control sequence', ['text'], '\u001b[2J'],
    ['a NUL', ['secret'], 'long enough\0'],
    ['a secret too short to be masked', ['secret'], 'short'],
    ['broken text', ['text'], '\ud800'],
  ])('is not answered by %s', async (_name, how, value) => {
    const it = await Asked.open();
    const request = await it.ask({}, question(...how));
    await expect(it.answer(request, owner, 'value', { value })).rejects.toMatchObject({
      code: expect.stringMatching(/^(answer|secret)\.invalid$/),
    });
    expect(request.state).toBe('open');
  });

  test('is answered by who submitted the run, and by no approver', async () => {
    const it = await Asked.open();
    const request = await it.ask({}, question('text'));
    await expect(it.answer(request, ada, 'value', { value: 'x' })).rejects.toMatchObject({
      code: 'access.denied',
    });
    await it.answer(request, owner, 'value', { value: 'production' });
    expect(await it.requests.valueOf(request)).toBe('production');
    expect(JSON.stringify(it.log.entries)).not.toContain('production');
  });

  test('in confidence is in memory only, and asked again after a restart', async () => {
    const it = await Asked.open();
    const opening = it.opening({}, question('secret'));
    const request = await it.requests.open(opening);
    await it.answer(request, owner, 'value', { value: 'correct horse battery' });
    expect(it.requests.answered(opening)).toBe(request);
    expect(await it.requests.valueOf(request)).toEqual(Buffer.from('correct horse battery'));
    const kept = JSON.stringify([it.log.entries, [...it.said.values()]]);
    expect(kept).not.toContain('horse');
    expect([...it.blobs.values()].join()).not.toContain('horse');
    await it.restart();
    expect(it.requests.answered(opening)).toBeUndefined();
    expect((await it.requests.open(opening)).id).not.toBe(request.id);
  });
});

type Step = { uid: number | undefined; role: boolean; answer: 'approve' | 'deny'; later: number };

test('it is granted exactly where enough different entitled people said yes before any no or its end', async () => {
  const step = fc.record({
    uid: fc.option(fc.integer({ min: 1000, max: 1004 }), { nil: undefined }),
    role: fc.boolean(),
    answer: fc.constantFrom<('approve' | 'deny')[]>('approve', 'approve', 'approve', 'deny'),
    later: fc.constantFrom(0, 0, 0, hour / 3),
  });
  const terms = fc.record({
    approvals: fc.integer({ min: 1, max: 3 }),
    self: fc.boolean(),
    from: fc.constantFrom<string[][]>(
      [['approver']],
      [['approver'], ['uid:1001', 'uid:1002', 'uid:1003']],
      [],
    ),
  });
  await fc.assert(
    fc.asyncProperty(terms, fc.array(step, { maxLength: 12 }), async (ask, steps: Step[]) => {
      const it = await Asked.open();
      const request = await it.ask(ask);
      const expected = wouldCome(ask, steps);
      for (const { uid, role, answer, later } of steps) {
        it.nowMs += later;
        const who = person(uid, { roles: role ? ['approver'] : ['runner'], isOwner: uid === 1000 });
        await it.answer(request, who, answer).catch(() => {});
      }
      it.requests.close();
      const isOver = ['expired', 'open'].includes(request.state) ? 'nothing' : request.state;
      expect(isOver).toBe(expected);
      const enough = isEnough(request.ask ?? ask, asker, request.answers);
      expect(enough).toBe(expected === 'granted');
    }),
    { numRuns: 300 },
  );
});

/** The same in other words: one pass over what people said. */
function wouldCome(ask: AskTerms, steps: readonly Step[]): 'granted' | 'denied' | 'nothing' {
  let now = 0;
  const said = new Map<string, string>();
  for (const { uid, role, answer, later } of steps) {
    now += later;
    if (now >= hour) return 'nothing';
    const isListed = ask.from.every((list) =>
      list.some((one) => (one === 'approver' ? role : one === `uid:${uid}`)),
    );
    const key = String(uid);
    if (said.has(key)) continue;
    if (answer === 'deny') {
      if (isListed || uid === 1000) return 'denied';
      continue;
    }
    const isSelf = !ask.self && uid === 1000;
    const isNobody = uid === undefined && (ask.approvals > 1 || !ask.self);
    if (!isListed || isSelf || isNobody) continue;
    said.set(key, answer);
    if (said.size >= ask.approvals) return 'granted';
  }
  return 'nothing';
}
