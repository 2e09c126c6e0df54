import { OrchestraError } from '#contract/errors.ts';
import { Digest } from '#contract/ids.ts';
import type { Artifact } from '#contract/run.ts';
import { artifactTar } from '../../artifacts/tar.ts';
import { changesOf } from '../../runs/changes.ts';
import type { RunFacts } from '../../runs/state.ts';
import type { Routes } from '../app.ts';
import { bytesResponse } from '../streams.ts';
import type { RouteDeps } from './deps.ts';
import { blobResponse } from './runs.ts';

type Part = Pick<Routes, 'artifactList' | 'artifactGet' | 'runChanges' | 'runBlob'>;

export function artifactRoutes({ runs, runsDeps }: RouteDeps): Part {
  return {
    artifactList: ({ param }) => Promise.resolve({ items: artifactsOf(runs.find(param('id'))) }),
    artifactGet: async ({ param, actor }) => {
      const run = runs.find(param('id'));
      const artifact = artifactsOf(run).find(
        (each) => each.task === param('task') && each.name === param('name'),
      );
      if (!artifact) {
        throw new OrchestraError('artifact.unknown', `${run.id} has no such artifact`, {
          hint: `orchestra artifacts ls ${run.id}`,
        });
      }
      await runsDeps.log.append({
        type: 'artifact.downloaded',
        run: undefined,
        actor,
        obj: { run: run.id, task: artifact.task },
        data: { name: artifact.name, sha256: artifact.sha256 },
      });
      const digest: Digest = `sha256:${artifact.sha256}`;
      return artifact.kind === 'file'
        ? blobResponse(runsDeps.blobs, digest, 'application/octet-stream')
        : bytesResponse(await artifactTar(runsDeps.blobs, digest), {
            'content-type': 'application/x-tar',
          });
    },
    runChanges: ({ param }) => changesOf(runsDeps, runs, param('id')),
    runBlob: async ({ param }) => {
      const digest = Digest.parse(param('digest'));
      const { items } = await changesOf(runsDeps, runs, param('id'));
      const isOfRun = items.some(({ before, after }) =>
        [before, after].some((entry) => entry?.type === 'file' && entry.digest === digest),
      );
      if (!isOfRun) throw new OrchestraError('blob.unknown', 'The run changed no such file');
      return blobResponse(runsDeps.blobs, digest, 'application/octet-stream');
    },
  };
}

function artifactsOf(run: RunFacts): Artifact[] {
  return [...run.tasks.values()].flatMap((task) => task.artifacts);
}
