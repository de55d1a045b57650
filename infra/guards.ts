import { output, type ResourceTransformation, RunError } from '@pulumi/pulumi'

/**
 * Refuses, in the preview, a resource that would fall into a known trap of the provider, open the worker to the public
 * or take something away from others. It sees every resource of the stack, no matter which file declares it.
 */
export const refuseTraps: ResourceTransformation = ({ type, name, props, opts }) => {
  const faults = findTraps(type, props, opts)
  if (faults.length > 0) throw new RunError(`${type} '${name}' ${faults.join('; ')}`)
  return { props: checkLater(type, name, props), opts }
}

/**
 * Finds the traps that a resource would fall into.
 *
 * @returns phrases that follow the name of the resource: `must write paused (left out later, the job stays paused), …`.
 */
export const findTraps = (
  type: string,
  props: Properties,
  opts: { ignoreChanges?: string[] } = {}
): string[] => {
  if (/iam(binding|policy)$/i.test(type)) {
    return ['must be an IAM member: a binding or a policy takes away what others were given']
  }
  return (traps[type] ?? []).filter((trap) => !trap.holds(props, opts)).map((trap) => `must ${trap.must}`)
}

// The inputs of a resource as the program wrote them.
// oxlint-disable-next-line typescript/no-explicit-any
type Properties = any

interface Trap {
  readonly must: string
  readonly holds: (props: Properties, opts: { ignoreChanges?: string[] }) => boolean
}

const isWritten = (object: Properties, keys: readonly string[]): boolean =>
  keys.every((key) => object?.[key] !== undefined)

const retryFields = [
  'retryCount',
  'maxRetryDuration',
  'minBackoffDuration',
  'maxBackoffDuration',
  'maxDoublings'
]
const instanceLimits = ['minInstanceCount', 'maxInstanceCount']
// Cloud Monitoring looks back no further.
const longestAbsence = 23.5 * 3600

const traps: Readonly<Record<string, readonly Trap[]>> = {
  'gcp:cloudscheduler/job:Job': [
    {
      must: `write all of ${retryFields.join(', ')} (else none of them is applied when the job is made)`,
      holds: ({ retryConfig }) => isWritten(retryConfig, retryFields)
    },
    {
      must: 'write paused (left out later, the job stays paused)',
      holds: ({ paused }) => paused !== undefined
    },
    {
      must: 'have no headers (beside a token they differ in every preview)',
      holds: ({ httpTarget }) => httpTarget?.headers === undefined
    },
    {
      must: "name the caller and the audience of its token (the preset audience is the job's own address)",
      holds: ({ httpTarget }) => isWritten(httpTarget?.oidcToken, ['serviceAccountEmail', 'audience'])
    },
    {
      must: 'leave deletionPolicy to protect (it is enforced when a deployment is half done, protect in the preview)',
      holds: ({ deletionPolicy }) => deletionPolicy === undefined
    }
  ],
  'gcp:cloudrunv2/service:Service': [
    {
      must: 'write deletionProtection (it is on unless it is written: a stage could not be destroyed)',
      holds: ({ deletionProtection }) => deletionProtection !== undefined
    },
    {
      must: 'write the least and the most instances, of the service and of a revision (else they differ in every preview)',
      holds: ({ scaling, template }) =>
        isWritten(scaling, instanceLimits) && isWritten(template?.scaling, instanceLimits)
    },
    {
      must: 'write the limits of cpu and memory (else they differ in every preview)',
      holds: ({ template }) =>
        eachContainer(template, ({ resources }) => isWritten(resources?.limits, ['cpu', 'memory']))
    },
    {
      must: 'write cpuIdle as true (else the CPU is billed between requests)',
      holds: ({ template }) => eachContainer(template, ({ resources }) => resources?.cpuIdle === true)
    },
    {
      must: 'ignore changes of client and clientVersion (other tools rewrite them)',
      holds: (_props, { ignoreChanges = [] }) =>
        ['client', 'clientVersion'].every((key) => ignoreChanges.includes(key))
    },
    {
      must: 'keep its default address (Cloud Scheduler calls it)',
      holds: ({ defaultUriDisabled }) => defaultUriDisabled !== true
    },
    {
      must: 'have ingress INGRESS_TRAFFIC_INTERNAL_ONLY (Cloud Scheduler is let in, the internet is not)',
      holds: ({ ingress }) => ingress === 'INGRESS_TRAFFIC_INTERNAL_ONLY'
    },
    {
      must: 'leave the check of its invokers on (the worker has no other door)',
      holds: ({ invokerIamDisabled }) => invokerIamDisabled !== true
    },
    {
      must: "pin its secrets to a version's number (latest brings no new revision)",
      holds: ({ template }) =>
        eachContainer(template, ({ envs = [] }) =>
          envs.every(
            ({ valueSource }: Properties) => !valueSource || /^\d+$/.test(valueSource.secretKeyRef?.version)
          )
        )
    },
    {
      must: 'wait less than its period for the answer to a probe (Cloud Run asks for that)',
      holds: ({ template }) =>
        eachContainer(template, ({ startupProbe, livenessProbe }) =>
          [startupProbe, livenessProbe].every(
            (probe) => !probe || (probe.timeoutSeconds ?? 1) < (probe.periodSeconds ?? 10)
          )
        )
    }
  ],
  'gcp:monitoring/dashboard:Dashboard': [
    {
      must: 'write no zeros (Google leaves them out of its answer: each would differ in every preview)',
      holds: ({ dashboardJson }) => !hasZero(JSON.parse(dashboardJson))
    }
  ],
  'gcp:projects/service:Service': [
    {
      must: 'write disableOnDestroy as false (other stages need the API)',
      holds: ({ disableOnDestroy }) => disableOnDestroy === false
    }
  ],
  'gcp:monitoring/alertPolicy:AlertPolicy': [
    {
      must: 'limit the rate of its notifications (Cloud Monitoring refuses a condition on log lines without)',
      holds: ({ conditions, alertStrategy }) =>
        !conditions.some(({ conditionMatchedLog }: Properties) => conditionMatchedLog) ||
        alertStrategy?.notificationRateLimit?.period !== undefined
    },
    {
      must: `wait at most ${longestAbsence} s for what is absent`,
      holds: ({ conditions }) =>
        conditions.every(
          ({ conditionAbsent }: Properties) =>
            !conditionAbsent || Number.parseInt(conditionAbsent.duration, 10) <= longestAbsence
        )
    },
    {
      must: 'match log lines themselves (an alert on a log-based metric without data fails to be made)',
      holds: ({ conditions }) => !JSON.stringify(conditions).includes('logging.googleapis.com/user/')
    }
  ]
}

/** Whether a value contains, at any depth, something that JSON responses omit: 0, false, an empty string or list. */
const hasZero = (value: unknown): boolean =>
  typeof value === 'object' && value !== null
    ? (Array.isArray(value) && value.length === 0) || Object.values(value).some(hasZero)
    : value === 0 || value === false || value === ''

const eachContainer = (template: Properties, holds: (container: Properties) => boolean): boolean =>
  template?.containers?.length > 0 && template.containers.every(holds)

/** Checks values that depend on other resources as soon as they are known. */
const checkLater = (type: string, name: string, props: Properties): Properties => {
  if (/iammember$/i.test(type)) {
    const member = output(props.member).apply((value: string) => {
      if (/^all(Authenticated)?Users$/.test(value)) {
        throw new RunError(`${type} '${name}' must not be for the public, got '${value}'`)
      }
      return value
    })
    return { ...props, member }
  }
  return props
}
