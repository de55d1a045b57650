import { RunError, runtime } from '@pulumi/pulumi'
import { Alerts } from './components/alerts.ts'
import { Apis } from './components/apis.ts'
import { Caller } from './components/caller.ts'
import { Overview } from './components/overview.ts'
import { ScheduledJobs } from './components/scheduled-jobs.ts'
import { WorkerImage } from './components/worker-image.ts'
import { Worker } from './components/worker.ts'
import { ConfigurationError } from './configuration.ts'
import type { Declaration } from './declaration.ts'
import { refuseTraps } from './guards.ts'
import { findDeploymentFaults } from './limits.ts'

/**
 * Declares every resource of a stage, each after those that it needs.
 *
 * @throws RunError when a deployment has settings that only a preview may have.
 */
export const declareStack = (declaration: Declaration) => {
  const faults = runtime.isDryRun() ? [] : findDeploymentFaults(declaration)
  if (faults.length > 0) throw new RunError(new ConfigurationError(declaration.stage, faults).message)
  runtime.registerStackTransformation(refuseTraps)

  const apis = new Apis('apis', declaration)
  const image = declaration.service.image ?? new WorkerImage('worker-image', declaration, apis).reference
  const worker = new Worker('worker', declaration, { image, apis })
  const caller = new Caller('caller', declaration, { apis, worker })
  const jobs = new ScheduledJobs('scheduled-jobs', declaration, { apis, worker, caller })
  const alerts = new Alerts('alerts', declaration, apis)
  const overview = new Overview('overview', declaration, apis)
  return {
    region: declaration.region,
    service: declaration.service.name,
    image,
    workerUrl: worker.url,
    jobs: jobs.names,
    alerts: alerts.titles,
    dashboard: overview.id
  }
}
