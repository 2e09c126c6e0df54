import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Sbom, SbomComponent } from '#contract/sbom.ts';
import type { NpmPackage } from '#setup/image/read-archive.ts';
import type { ImageInput } from '#setup/image/recipe.ts';
import { shippedDependencies } from '../deb/dependencies.ts';
import { licencesOf } from './licences.ts';

export type SbomParts = {
  root: string;
  version: string;
  architecture: string;
  /** ISO 8601. */
  made: string;
  /** Every file of the Debian package by its path. */
  files: ReadonlyMap<string, string>;
  image: {
    id: string;
    tag: string;
    /** What it was assembled from; nothing is known of one that was saved. */
    inputs: readonly ImageInput[];
    npm: readonly NpmPackage[];
  };
};

/** What is in a bundle, as CycloneDX 1.6. The same parts make the same text. */
export function makeSbom(parts: SbomParts): Sbom {
  const libraries = npmComponents(parts.root);
  const components = [packageComponent(parts), nodeComponent(), imageComponent(parts)];
  return finished(parts, {
    components: [...components, ...libraries],
    dependencies: [
      { ref: 'orchestra', dependsOn: ['package', 'image'] },
      { ref: 'package', dependsOn: ['node', ...libraries.map(refOf)] },
    ],
  });
}

/** What runs in our own container images, which lie in a folder and in no package. */
export function folderSbom(of: Pick<SbomParts, 'root' | 'version' | 'made'>): Sbom {
  const libraries = npmComponents(of.root);
  return finished(of, {
    components: [nodeComponent(), ...libraries],
    dependencies: [{ ref: 'orchestra', dependsOn: ['node', ...libraries.map(refOf)] }],
  });
}

function refOf({ 'bom-ref': ref = '' }: SbomComponent): string {
  return ref;
}

function finished(
  { version, made }: Pick<SbomParts, 'version' | 'made'>,
  parts: Pick<Sbom, 'components' | 'dependencies'>,
): Sbom {
  const body = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: made,
      component: {
        type: 'application',
        'bom-ref': 'orchestra',
        name: 'orchestra',
        version,
        licenses: [{ license: { id: 'Apache-2.0' } }],
        purl: `pkg:generic/orchestra@${version}`,
      },
    },
    ...parts,
  } satisfies Omit<Sbom, '$schema' | 'serialNumber'>;
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(body))}`,
    ...body,
  };
}

function packageComponent({ version, architecture, files }: SbomParts): SbomComponent {
  return {
    type: 'application',
    'bom-ref': 'package',
    name: 'orchestra.deb',
    version,
    purl: `pkg:deb/orchestra@${version}?arch=${architecture}`,
    components: [...files.keys()].toSorted().map((name) => ({
      type: 'file',
      name,
      hashes: [{ alg: 'SHA-256', content: files.get(name) ?? '' }],
    })),
  };
}

/** The one that the package brings is the one that builds it. */
function nodeComponent(): SbomComponent {
  const { node } = process.versions;
  return {
    type: 'application',
    'bom-ref': 'node',
    name: 'node',
    version: node,
    licenses: [{ license: { id: 'MIT' } }],
    purl: `pkg:generic/node@${node}`,
  };
}

function imageComponent({ architecture, image }: SbomParts): SbomComponent {
  const inputs = image.inputs.map((input): SbomComponent => {
    const { kind, name, version, hash } = input;
    return {
      type: 'library',
      name,
      version,
      hashes: [{ alg: hash.alg, content: hash.hex }],
      purl:
        kind === 'deb'
          ? `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`
          : npmPurl(name, version),
    };
  });
  const known = new Set(inputs.map(({ purl }) => purl));
  const npm = image.npm
    .map(({ name, version }): SbomComponent => ({
      type: 'library',
      name,
      version,
      purl: npmPurl(name, version),
    }))
    .filter(({ purl }) => !known.has(purl));
  return {
    type: 'container',
    'bom-ref': 'image',
    name: image.tag,
    version: image.id,
    hashes: [{ alg: 'SHA-256', content: image.id.replace('sha256:', '') }],
    components: [...inputs, ...npm],
  };
}

type Locked = { packages: Record<string, { version: string; integrity?: string }> };

function npmComponents(root: string): SbomComponent[] {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as Locked;
  return shippedDependencies(root).map((folder) => {
    const { version, integrity } = lock.packages[folder] ?? { version: 'unknown' };
    const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const licenses = licencesOf(path.join(root, folder));
    const [alg, digest] = integrity?.split('-') ?? [];
    return {
      type: 'library',
      'bom-ref': folder,
      name,
      version,
      ...(alg === 'sha512' && digest !== undefined
        ? { hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }] }
        : {}),
      ...(licenses === undefined ? {} : { licenses }),
      purl: npmPurl(name, version),
    };
  });
}

function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`;
}

/** Of the content, so that the same bundle has the same; in the form of version 8 (RFC 9562). */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
