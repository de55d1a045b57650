import { Image } from '@pulumi/docker/image.js'
import { Repository } from '@pulumi/gcp/artifactregistry/repository.js'
import { ComponentResource, type Output } from '@pulumi/pulumi'
import type { Declaration } from '../declaration.ts'
import type { Apis } from './apis.ts'

/**
 * The worker's image, built from worker/Dockerfile and kept in a registry of the stage's own, for stages that take no
 * promoted image. It is built at `up`, which needs a Docker engine; a preview needs none.
 */
export class WorkerImage extends ComponentResource {
  /** By digest: a tag would stay the same, and no new revision would be created. */
  readonly reference: Output<string>

  constructor(name: string, declaration: Declaration, apis: Apis) {
    super('scheduled-jobs:index:WorkerImage', name)
    const { project, region, repositoryId, app, stage } = declaration
    const repository = new Repository(
      'registry',
      {
        repositoryId,
        location: region,
        format: 'DOCKER',
        description: `Images of the worker of ${app}'s scheduled jobs (${stage})`,
        labels: { app, stage },
        cleanupPolicies: [...cleanupPolicies],
        cleanupPolicyDryRun: false
      },
      { parent: this, dependsOn: apis }
    )
    const image = new Image(
      'image',
      {
        imageName: `${region}-docker.pkg.dev/${project}/${repositoryId}/worker`,
        build: {
          context: projectDirectory,
          dockerfile: 'worker/Dockerfile',
          // Cloud Run's platform, on any build machine.
          platform: 'linux/amd64',
          builderVersion: 'BuilderBuildKit'
        }
      },
      { parent: this, dependsOn: repository }
    )
    this.reference = image.repoDigest
    this.registerOutputs({ reference: this.reference })
  }
}

// Relative, so that a preview is the same on every machine: the engine runs the program in the project's folder.
const projectDirectory = '.'

// The last ten stay, regardless of age: one of them is running.
const cleanupPolicies = [
  { id: 'keep-recent', action: 'KEEP', mostRecentVersions: { keepCount: 10 } },
  { id: 'delete-old', action: 'DELETE', condition: { tagState: 'ANY', olderThan: `${30 * 86_400}s` } }
] as const
