import { AlertPolicy } from '@pulumi/gcp/monitoring/alertPolicy.js'
import { NotificationChannel } from '@pulumi/gcp/monitoring/notificationChannel.js'
import { ComponentResource, type Input } from '@pulumi/pulumi'
import { type Alert, alerts, type Condition, describeAlert } from '../alert-catalogue.ts'
import type { Declaration } from '../declaration.ts'
import { autoClose } from '../incidents.ts'
import type { Apis } from './apis.ts'

/**
 * The alert policies of a stage. They name service and jobs by plain strings: if they depended on the resources, no job
 * could be destroyed by itself.
 */
export class Alerts extends ComponentResource {
  readonly titles: readonly string[]

  constructor(name: string, declaration: Declaration, apis: Apis) {
    super('scheduled-jobs:index:Alerts', name)
    const channels = declaration.alertChannels.map((channel) => this.openChannel(channel, declaration, apis))
    const declared = alerts.flatMap((alert) => {
      const condition = alert.condition(declaration)
      return condition ? [{ alert, condition }] : []
    })
    const policies = declared.map(
      ({ alert, condition }) =>
        new AlertPolicy(alert.id, buildPolicy(alert, condition, declaration, channels), {
          parent: this,
          dependsOn: apis
        })
    )
    this.titles = declared.map(({ alert }) => alert.title)
    this.registerOutputs({ policies: policies.map((policy) => policy.displayName) })
  }

  /** An email address gets a channel of the stage's own; an existing channel is used as it is. */
  private openChannel(channel: string, { app, stage }: Declaration, apis: Apis): Input<string> {
    if (channel.startsWith('projects/')) return channel
    return new NotificationChannel(
      channel,
      {
        type: 'email',
        displayName: `${channel}, for ${app}'s scheduled jobs (${stage})`,
        labels: { email_address: channel }
      },
      { parent: this, dependsOn: apis }
    ).name
  }
}

const buildPolicy = (
  alert: Alert,
  condition: Condition,
  { app, stage }: Declaration,
  notificationChannels: Input<string>[]
) => ({
  displayName: `${app} ${stage}: ${alert.title}`,
  combiner: 'OR',
  severity: alert.severity,
  conditions: [{ displayName: alert.title, ...buildCondition(condition) }],
  alertStrategy: {
    // A day, so that an incident of the night is still open in the morning.
    autoClose: `${autoClose}s`,
    // One message an hour: a job that fails every five minutes is one problem. Google allows this limit for log lines only.
    ...(condition.kind === 'log' ? { notificationRateLimit: { period: '3600s' } } : {})
  },
  documentation: {
    subject: `${app} ${stage}: ${alert.title}`,
    mimeType: 'text/markdown',
    content: describeAlert(alert, stage)
  },
  userLabels: { app, stage },
  notificationChannels
})

const buildCondition = (condition: Condition) =>
  condition.kind === 'log'
    ? { conditionMatchedLog: { filter: condition.filter, labelExtractors: { job: condition.jobLabel } } }
    : {
        conditionAbsent: {
          filter: condition.filter,
          duration: `${condition.seconds}s`,
          // Summed over the revisions: with every deployment an old one falls silent.
          aggregations: [
            { alignmentPeriod: '300s', perSeriesAligner: 'ALIGN_DELTA', crossSeriesReducer: 'REDUCE_SUM' }
          ],
          trigger: { count: 1 }
        }
      }
