import type { EngineEvent } from '@pulumi/pulumi/automation/index.js'

/** The differences between a stage's state and Google Cloud. */
export interface Drift {
  /** Ids of jobs whose only difference is the pause: somebody paused or resumed them by hand. */
  readonly pauses: readonly string[]
  /** `service: template`, `clear-sessions: gone`. */
  readonly others: readonly string[]
}

/** Finds the drift in the events of a preview-only refresh. */
export const findDrift = (events: readonly EngineEvent[]): Drift => {
  const found = events
    .flatMap(({ resOutputsEvent }) => resOutputsEvent?.metadata ?? [])
    .filter(({ op }) => op === 'update' || op === 'delete')
    .map(({ op, type, urn, diffs = [] }) => ({
      name: urn.split('::').at(-1) ?? urn,
      isPause: op === 'update' && type === 'gcp:cloudscheduler/job:Job' && diffs.join() === 'paused',
      what: op === 'delete' ? 'gone' : diffs.join(', ')
    }))
  return {
    pauses: found.filter(({ isPause }) => isPause).map(({ name }) => name),
    others: found.filter(({ isPause }) => !isPause).map(({ name, what }) => `${name}: ${what}`)
  }
}

/** The drift of a stage for people, with what to do about it; empty when there is none. */
export const describeDrift = (stage: string, { pauses, others }: Drift): string =>
  [
    ...(pauses.length > 0
      ? [
          `Paused or resumed by hand in ${stage}: ${pauses.join(', ')}. A deployment leaves them so. Put them back with ` +
            `'npm run scheduler -- resume JOB --stage ${stage}', or ${describeLastingPause(stage, 'JOB')}.`
        ]
      : []),
    ...(others.length > 0
      ? [
          `Changed by hand in ${stage}: ${others.join('; ')}. Write the change into the program or its configuration, or ` +
            `take it back: 'pulumi up --stack ${stage} --refresh' shows both before it does anything.`
        ]
      : [])
  ].join('\n')

/**
 * How to make a pause by hand part of the configuration, as a phrase that follows 'or'. Without `--refresh` the
 * provider asks to pause a job that is already paused, which Cloud Scheduler refuses; by then the service has changed.
 */
export const describeLastingPause = (stage: string, job: string): string =>
  `make it lasting: jobs.${job}.paused: true in Pulumi.${stage}.yaml, then 'pulumi up --stack ${stage} --refresh', or ` +
  'resume the job just before it is deployed: otherwise the deployment fails half-way'
