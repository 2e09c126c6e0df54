import { createPublicKey, generateKeyPairSync, hash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFromJSON } from '@sigstore/bundle';
import { toSignedEntity, Verifier } from '@sigstore/verify';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { RunId } from '#contract/ids.ts';
import { ProvenanceStatement, type Envelope } from '#contract/provenance.ts';
import { workspaceTarget, type SandboxSpec } from '#daemon/policy/spec.ts';
import { leafHash, RightEdge } from '#verifier/tlog/merkle.ts';
import { ofType, Orchestra, type PlanFileTask } from '#test/support/orchestra.ts';

const build: PlanFileTask = {
  id: 'build',
  tool: 'node',
  args: ['build.js'],
  outputs: [{ name: 'dist', path: 'dist.txt' }],
};
const check: PlanFileTask = { id: 'check', tool: 'node', args: ['check.js'], deps: ['build'] };
let open: Orchestra | undefined;
afterEach(async () => {
  await open?.[Symbol.asyncDispose]();
  open = undefined;
});

async function orchestra(): Promise<Orchestra> {
  open = await Orchestra.open();
  open.programs.set('build', { effect: writes('dist.txt', 'what was built') });
  return open;
}

function writes(name: string, text: string) {
  return (spec: SandboxSpec) => {
    for (const mount of spec.mounts) {
      if (mount.kind === 'overlay' && mount.target === workspaceTarget) {
        writeFileSync(join(mount.upper, name), text);
      }
    }
  };
}

const provenanceOf = async (it: Orchestra, run: RunId, artifact?: string) =>
  it.rooms.deps.provenance.of(it.rooms.runs.find(run), artifact);

function statementIn(envelope: Envelope | undefined): ProvenanceStatement {
  const payload = Buffer.from(envelope?.payload ?? '', 'base64').toString('utf8');
  return ProvenanceStatement.parse(JSON.parse(payload));
}

/** The verifier of the sigstore project, given the envelope and a key, and nothing of ours. */
function verifyIndependently(envelope: Envelope, key: string): void {
  const { publicKey: _own, ...dsse } = envelope;
  const bundle = bundleFromJSON({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    dsseEnvelope: dsse,
    verificationMaterial: { publicKey: { hint: 'k' }, tlogEntries: [] },
  });
  const publicKey = createPublicKey({
    key: Buffer.from(key, 'base64'),
    format: 'der',
    type: 'spki',
  });
  const trusted = {
    certificateAuthorities: [],
    timestampAuthorities: [],
    tlogs: [],
    ctlogs: [],
    publicKey: () => ({ publicKey, validFor: () => true }),
  };
  const none = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
  new Verifier(trusted, none).verify(toSignedEntity(bundle));
}

/**
 * The fields of in-toto Statement v1 and SLSA provenance v1 as their specifications list them, with
 * nothing besides: written down from there, not from the product.
 */
const uri = z.string().regex(/^[a-z][a-z0-9+.-]*:[^\s]+$/i);
const time = z.iso.datetime();
const descriptor = z
  .strictObject({
    name: z.string().optional(),
    uri: uri.optional(),
    digest: z.record(z.string(), z.string().regex(/^[0-9a-f]+$/)).optional(),
    content: z.base64().optional(),
    downloadLocation: uri.optional(),
    mediaType: z.string().optional(),
    annotations: z.record(z.string(), z.unknown()).optional(),
  })
  .refine((each) => each.uri ?? each.digest ?? each.content, 'one of uri, digest, content');
const published = z.strictObject({
  _type: z.literal('https://in-toto.io/Statement/v1'),
  subject: z.array(descriptor.refine((each) => each.digest?.['sha256'] !== undefined)).min(1),
  predicateType: z.literal('https://slsa.dev/provenance/v1'),
  predicate: z.strictObject({
    buildDefinition: z.strictObject({
      buildType: uri,
      externalParameters: z.record(z.string(), z.unknown()),
      internalParameters: z.record(z.string(), z.unknown()).optional(),
      resolvedDependencies: z.array(descriptor).optional(),
    }),
    runDetails: z.strictObject({
      builder: z.strictObject({
        id: uri,
        version: z.record(z.string(), z.string()).optional(),
        builderDependencies: z.array(descriptor).optional(),
      }),
      metadata: z
        .strictObject({
          invocationId: z.string().optional(),
          startedOn: time.optional(),
          finishedOn: time.optional(),
        })
        .optional(),
      byproducts: z.array(descriptor).optional(),
    }),
  }),
});

describe('there is no provenance', () => {
  test('of a run that left nothing, and nothing is recorded', async () => {
    const it = await orchestra();
    const run = await it.run([{ ...check, deps: [] }]);
    await expect(provenanceOf(it, run)).rejects.toMatchObject({ code: 'artifact.unknown' });
    expect(ofType(await it.records(), 'artifact.attested')).toEqual([]);
  });

  test('of what a task left that failed afterwards', async () => {
    const it = await orchestra();
    it.programs.set('build', { exitCode: 1, effect: writes('dist.txt', 'half') });
    const run = await it.run([build]);
    await expect(provenanceOf(it, run)).rejects.toMatchObject({ code: 'artifact.unknown' });
  });

  test('of a run that is still open', async () => {
    const it = await orchestra();
    it.programs.set('build', { hang: true });
    const run = await it.submit([build]);
    await expect(provenanceOf(it, run)).rejects.toMatchObject({ code: 'run.conflict' });
    await it.rooms.runs.cancel(run, 'seen enough', { kind: 'user', auth: 'peer', uid: 1 });
    await it.ended(run);
  });

  test('of an artifact that nobody left', async () => {
    const it = await orchestra();
    const run = await it.run([build]);
    await expect(provenanceOf(it, run, 'build/other')).rejects.toMatchObject({
      code: 'artifact.unknown',
      hint: 'there are: build/dist',
    });
  });
});

test('another verifier accepts it with the key, and neither with another key nor changed', async () => {
  const it = await orchestra();
  const run = await it.run([build, check]);
  const { envelopes } = await provenanceOf(it, run);
  expect(envelopes).toHaveLength(2);
  const { spki } = await it.rooms.deps.provenance.key();
  const own = spki.toString('base64');
  const other = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' });
  for (const envelope of envelopes) {
    verifyIndependently(envelope, own);
    expect(() => verifyIndependently(envelope, other.toString('base64'))).toThrow();
    const text = Buffer.from(envelope.payload, 'base64').toString('utf8');
    const payload = Buffer.from(text.replace(run, 'r-0000000000')).toString('base64');
    expect(() => verifyIndependently({ ...envelope, payload }, own)).toThrow();
  }
});

test('the statements have the fields that in-toto and SLSA publish, and no others', async () => {
  const it = await orchestra();
  const run = await it.run([build, check]);
  for (const envelope of (await provenanceOf(it, run)).envelopes) {
    const payload: unknown = JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8'));
    expect(published.safeParse(payload).error).toBeUndefined();
  }
});

test('it says what was built from what, in which sandbox, and where the records of it are', async () => {
  const it = await orchestra();
  const run = await it.run([build, check]);
  const records = await it.records(run);
  const { envelopes } = await provenanceOf(it, run, 'dist');
  const { subject, predicate } = statementIn(envelopes[0]);
  const sha256 = hash('sha256', 'what was built', 'hex');
  expect(subject).toEqual([
    {
      name: 'build/dist',
      digest: { sha256 },
      annotations: { path: 'dist.txt', kind: 'file', bytes: 14 },
    },
  ]);
  const [receipt] = ofType(records, 'sandbox.receipt');
  const [planned] = ofType(records, 'plan.made');
  const [closed] = ofType(records, 'run.closed');
  const { buildDefinition, runDetails } = predicate;
  expect(buildDefinition.externalParameters).toMatchObject({
    plan: planned?.data.plan,
    task: { id: 'build', tool: 'node', args: ['build.js'] },
  });
  expect(buildDefinition.internalParameters).toMatchObject({
    policy: receipt?.data.policy,
    sandbox: { effective: receipt?.data.effective, requested: receipt?.data.requested },
    attempt: 1,
  });
  expect(buildDefinition.resolvedDependencies.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['image', 'snapshot', 'plan']),
  );
  expect(runDetails.builder.id).toBe(`urn:orchestra:log:${it.log.origin}`);
  expect(runDetails.metadata.invocationId).toBe(run);
  const lines = await Array.fromAsync(it.log.read({ run }));
  expect(runDetails.byproducts).toEqual([
    {
      name: `records/${run}`,
      digest: { sha256: hash('sha256', lines.map(({ line }) => `${line}\n`).join(''), 'hex') },
      annotations: {
        run,
        first_seq: records[0]?.seq,
        last_seq: closed?.seq,
        records: closed?.data.records,
        outcome: 'succeeded',
      },
    },
    {
      name: `log/${run}`,
      digest: { sha256: lines.at(-1)?.hash },
      annotations: {
        origin: it.log.origin,
        seq: closed?.seq,
        tree_size: (closed?.seq ?? 0) + 1,
        tree_root: await rootOf(it, (closed?.seq ?? 0) + 1),
      },
    },
  ]);
});

/** Of the tree over the first records, from their lines. */
async function rootOf(it: Orchestra, size: number): Promise<string> {
  const edge = new RightEdge();
  for await (const { line } of it.log.read({ to: size })) edge.add(leafHash(Buffer.from(line)));
  return edge.root().toString('base64');
}

test('each artifact is on record with the digest of its statement, after the run and not of it', async () => {
  const it = await orchestra();
  const run = await it.run([build]);
  const { envelopes, bundle } = await provenanceOf(it, run);
  const all = await it.records();
  const [attested, ...more] = ofType(all, 'artifact.attested');
  expect(more).toEqual([]);
  expect(attested?.run).toBeUndefined();
  expect(attested?.obj).toEqual({ run, task: 'build' });
  const bytes = await it.rooms.deps.blobs.read(bundle, { maxBytes: 1 << 20 });
  const [, line = ''] = bytes.toString('utf8').split('\n');
  expect(JSON.parse(line)).toEqual(envelopes[1]);
  expect(attested?.data).toMatchObject({
    name: 'dist',
    sha256: hash('sha256', 'what was built', 'hex'),
    envelope: `sha256:${hash('sha256', line, 'hex')}`,
    bundle,
  });
  expect(all.at(-1)?.type).toBe('artifact.attested');
  expect(all.at(-2)?.type).toBe('run.closed');
});

test('what counts from an earlier run names the run that really built it', async () => {
  const it = await orchestra();
  const tasks = [build];
  const first = await it.run(tasks, { cache: true });
  const second = await it.run(tasks, { cache: true });
  const { envelopes } = await provenanceOf(it, second, 'build/dist');
  const { predicate } = statementIn(envelopes[0]);
  const [receipt] = ofType(await it.records(first), 'sandbox.receipt');
  expect(predicate.runDetails.metadata.invocationId).toBe(first);
  expect(predicate.buildDefinition.internalParameters).toMatchObject({
    sandbox: { effective: receipt?.data.effective },
    taken_by: second,
    taken_from: { run: first, task: 'build', why: 'cache' },
  });
  const of = predicate.runDetails.byproducts.map(({ annotations }) => annotations?.['run']);
  expect(of).toEqual([first, undefined, second, undefined]);
});

test('a directory is named by the digest of the list of what is in it', async () => {
  const it = await orchestra();
  it.programs.set('build', {
    effect: (spec) => {
      for (const mount of spec.mounts) {
        if (mount.kind === 'overlay') mkdirSync(join(mount.upper, 'out'));
      }
    },
  });
  const run = await it.run([{ ...build, outputs: [{ name: 'out', path: 'out' }] }]);
  const { envelopes } = await provenanceOf(it, run);
  const [subject] = statementIn(envelopes[1]).subject;
  expect(subject).toMatchObject({
    digest: { sha256: hash('sha256', '{"entries":[],"v":1}', 'hex') },
    mediaType: 'application/vnd.orchestra.tree.v1+json',
  });
});

test('where the blob of it is gone it is made again, the same to the byte, and recorded once', async () => {
  const it = await orchestra();
  const run = await it.run([build]);
  const before = await provenanceOf(it, run);
  const hex = before.bundle.slice('sha256:'.length);
  rmSync(join(it.stateDir, 'blobs', hex.slice(0, 2), hex), { force: true });
  await expect(it.rooms.deps.blobs.size(before.bundle)).resolves.toBeUndefined();
  await expect(provenanceOf(it, run)).resolves.toEqual(before);
  expect(ofType(await it.records(), 'artifact.attested')).toHaveLength(1);
});
