import { Dashboard } from '@pulumi/gcp/monitoring/dashboard.js'
import { ComponentResource, type Output } from '@pulumi/pulumi'
import { events } from '../../jobs/events.ts'
import type { Declaration } from '../declaration.ts'
import type { Apis } from './apis.ts'

/** The dashboard of a stage: calls and answers, their duration, and the last runs. */
export class Overview extends ComponentResource {
  readonly id: Output<string>

  constructor(name: string, declaration: Declaration, apis: Apis) {
    super('scheduled-jobs:index:Overview', name)
    const dashboard = new Dashboard(
      'dashboard',
      { dashboardJson: JSON.stringify(buildDashboard(declaration)) },
      { parent: this, dependsOn: apis }
    )
    this.id = dashboard.id
    this.registerOutputs({ id: this.id })
  }
}

// Names, not outputs: the dashboard must not keep a job from being destroyed.
const buildDashboard = ({ app, stage, service, jobs }: Declaration) => {
  const worker = `resource.type="cloud_run_revision" resource.labels.service_name="${service.name}"`
  const names = jobs.map(({ name }) => `"${name}"`).join(' OR ')
  const ends = [events.completed, events.failed, events.skipped].map((event) => `"${event}"`).join(' OR ')
  const charts = [
    buildChart(
      'Calls by answer',
      worker,
      'run.googleapis.com/request_count',
      'ALIGN_DELTA',
      'REDUCE_SUM',
      'response_code'
    ),
    buildChart(
      'Longest call',
      worker,
      'run.googleapis.com/request_latencies',
      'ALIGN_PERCENTILE_99',
      'REDUCE_MAX'
    ),
    buildChart('Instances', worker, 'run.googleapis.com/container/instance_count', 'ALIGN_MAX', 'REDUCE_SUM')
  ]
  const logs = [
    { title: 'Runs', logsPanel: { filter: `${worker} jsonPayload.event=(${ends})` } },
    {
      title: 'Calls that failed',
      logsPanel: {
        filter: `resource.type="cloud_scheduler_job" resource.labels.job_id=(${names}) severity>=ERROR`
      }
    }
  ]
  return {
    displayName: `${app}'s scheduled jobs (${stage})`,
    mosaicLayout: {
      columns: 48,
      tiles: [
        ...charts.map((widget, index) => ({ ...at({ xPos: index * 16 }), width: 16, height: 16, widget })),
        ...logs.map((widget, index) => ({
          ...at({ xPos: index * 24, yPos: 16 }),
          width: 24,
          height: 24,
          widget
        }))
      ]
    }
  }
}

/** Omits zeros, as Google's response does: otherwise the provider would see each as a change in every preview. */
const at = (position: { readonly xPos?: number; readonly yPos?: number }) =>
  Object.fromEntries(Object.entries(position).filter(([, value]) => value !== 0))

const buildChart = (
  title: string,
  resource: string,
  metric: string,
  perSeriesAligner: string,
  crossSeriesReducer: string,
  groupBy?: string
) => ({
  title,
  xyChart: {
    dataSets: [
      {
        plotType: 'LINE',
        timeSeriesQuery: {
          timeSeriesFilter: {
            filter: `${resource} metric.type="${metric}"`,
            aggregation: {
              alignmentPeriod: '300s',
              perSeriesAligner,
              crossSeriesReducer,
              ...(groupBy ? { groupByFields: [`metric.label.${groupBy}`] } : {})
            }
          }
        }
      }
    ]
  }
})
