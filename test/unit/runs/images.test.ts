import { expect, test } from 'vitest';
import type { ImageFacts } from '#daemon/engine/engine.ts';
import { ImagePins, Images } from '#daemon/runs/images.ts';
import { describeImage } from '#setup/image/description.ts';
import { FakeEngine } from '#test/support/fake-engine.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { user } from '#test/support/orchestra.ts';
import { shippedPolicy } from '#test/support/policies.ts';
import { note, someDigest } from '#test/support/records.ts';

const reference = 'node:20-alpine';
const policy = shippedPolicy('default');

function imageFacts(digit: string, labels: Record<string, string> = {}): ImageFacts {
  return { reference, id: someDigest(digit), os: 'linux', arch: 'amd64', labels, repoDigests: [] };
}

/** An engine with this image under this name, and the pins that its log gave. */
function withImage(image: ImageFacts | undefined, name = reference) {
  const engine = new FakeEngine();
  if (image) engine.images.set(name, image);
  const log = new MemoryLog();
  const pins = new ImagePins();
  log.onAppend = (entry) => {
    if (entry.type === 'image.resolved') pins.fold(note('image.resolved', entry.data));
  };
  return { engine, log, pins, images: new Images(engine, [describeImage()], pins) };
}

test('the first answer is pinned by a record, the second needs none', async () => {
  const { images, log, pins } = withImage(imageFacts('1'));
  expect(await images.resolve(log as never, policy, 'r-0000000000')).toMatchObject({
    reference,
    id: someDigest('1'),
    origin: 'pulled',
    libc: 'musl',
  });
  await images.resolve(log as never, policy);
  expect(log.story).toEqual(['image.resolved']);
  expect(pins.get(reference)).toBe(someDigest('1'));
});

test('another image than the pinned one is refused on record, until somebody pins it', async () => {
  const { engine, images, log, pins } = withImage(imageFacts('1'));
  await images.resolve(log as never, policy);
  engine.images.set(reference, imageFacts('2'));
  await expect(images.resolve(log as never, policy)).rejects.toMatchObject({
    code: 'image.changed',
    facts: { exit: 4 },
  });
  expect(pins.get(reference)).toBe(someDigest('1'));
  await images.pin(log as never, reference, user);
  expect((await images.resolve(log as never, policy)).id).toBe(someDigest('2'));
  expect(log.story).toEqual(['image.resolved', 'image.refused denied', 'image.resolved']);
  expect(log.of('image.resolved')[1]?.actor).toEqual(user);
});

test('a digest in the policy holds against every pin', async () => {
  const { images, log } = withImage(imageFacts('1'));
  const named = policy.images.map((image) => ({ ...image, digest: someDigest('3') }));
  await expect(images.resolve(log as never, { ...policy, images: named })).rejects.toMatchObject({
    code: 'image.changed',
  });
  expect(log.story).toEqual(['image.refused denied']);
});

test('the assembled image stands in where the engine lacks the other, if the policy takes it', async () => {
  const facts = imageFacts('1', { 'orchestra.image.origin': 'assembled' });
  const { images, log } = withImage(facts, describeImage().fallback);
  expect(await images.resolve(log as never, policy)).toMatchObject({
    reference,
    origin: 'assembled',
    libc: 'glibc',
  });
  const pulledOnly = policy.images.map((image) => ({ ...image, origins: ['pulled'] as const }));
  await expect(
    images.resolve(log as never, { ...policy, images: pulledOnly }),
  ).rejects.toMatchObject({ code: 'policy.denied' });
});

test('an image that nobody described or that the engine lacks is unknown, with a way out', async () => {
  const { images, log } = withImage(undefined);
  await expect(images.resolve(log as never, policy)).rejects.toMatchObject({
    code: 'image.unknown',
    hint: 'orchestra image build',
  });
  await expect(images.pin(log as never, 'evil:latest', user)).rejects.toMatchObject({
    code: 'image.unknown',
    hint: `known: ${reference}`,
  });
  await expect(images.resolve(log as never, { ...policy, images: [] })).rejects.toMatchObject({
    code: 'policy.denied',
  });
  expect(await images.list()).toMatchObject([{ reference, present: undefined }]);
  expect(log.story).toEqual([]);
});
