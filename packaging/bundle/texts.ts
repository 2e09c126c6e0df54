import { bundleFiles, bundleSeal, type BundleManifest } from '#contract/bundle.ts';

/** What lies beside the files: for somebody with this folder, a root shell and no network. */
export function installText(manifest: BundleManifest, isSigned: boolean): string {
  const { version, architecture, image } = manifest;
  const signature = isSigned
    ? `Ask whoever makes Orchestra for you for the key, by another way than this medium: the one that lies
here (${bundleSeal.key}) proves nothing by itself.

    openssl pkeyutl -verify -rawin -pubin -inkey release-key.pem \\
      -in ${bundleSeal.sums} -sigfile ${bundleSeal.signature}
    sha256sum --check --strict ${bundleSeal.sums}

Where Orchestra is installed already, \`orchestra bundle verify . --key release-key.pem\` does both, and
compares the package with the list of its files and the image with its digest.`
    : `This bundle is not signed. That it arrived as it left says

    sha256sum --check --strict ${bundleSeal.sums}`;
  return `# Orchestra ${version} for Debian, ${architecture}, without a network

## 1. Is it what was made?

${signature}

## 2. Install

    apt install --no-download ./${manifest.package}
    orchestra image load ${bundleFiles.image}
    usermod -aG orchestra NAME
    orchestra doctor

The package brings its own Node.js. It needs systemd and a container engine (docker.io or podman) from
your own Debian mirror or medium. The image is

    ${image.id}  ${image.tag}

and that is what \`orchestra image ls\` has to show.

## 3. Upgrade

The same commands. What runs goes on, and the new daemon takes it over.

${bundleFiles.sbom} lists everything that is in here (CycloneDX 1.6).
`;
}

/** As sha256sum writes and checks it, sorted by name. */
export function sumsText(sums: ReadonlyMap<string, string>): string {
  return [...sums.keys()]
    .toSorted()
    .map((name) => `${sums.get(name) ?? ''}  ${name}\n`)
    .join('');
}
