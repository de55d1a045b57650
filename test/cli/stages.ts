import { GoogleAuth, PassThroughClient } from 'google-auth-library'
import type { Endpoints } from '../../cli/google.ts'
import type { Emulator, EmulatorOptions } from '../../emulator/emulator.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { applyJobs } from '../../local/scheduler-jobs.ts'
import { startTestEmulator } from '../emulator/harness.ts'

export const region = 'australia-southeast1'
/** Of all stages, as their files have it. */
export const project = 'your-google-project'
export const parent = `projects/${project}/locations/${region}`

/** The name of a job in Cloud Scheduler. */
export const pathOf = (name: string): string => `${parent}/jobs/${name}`

/** An emulator in the place of Google Cloud, with the jobs of these stages as `pulumi up` would leave them. */
export const startGoogle = async (
  stages: readonly string[],
  options: Partial<EmulatorOptions> = {}
): ReturnType<typeof startTestEmulator> => {
  const emulator = await startTestEmulator('2026-06-01T00:00:30Z', { project, ...options })
  for (const stage of stages) {
    const { jobs, service, accounts } = readDeclaration(stage)
    // It deletes what is not declared, so each stage is made where it alone is.
    const others = emulator.jobs.list(parent).jobs
    for (const { name } of others) emulator.jobs.delete(name)
    applyJobs(emulator.jobs, jobs, {
      parent,
      serviceUrl: urlOf(service.name),
      serviceAccountEmail: `${accounts.caller.accountId}@${project}.iam.gserviceaccount.com`
    })
    for (const job of others) emulator.jobs.create(parent, job)
  }
  return emulator
}

/** The address of a service. */
export const urlOf = (service: string): string => `https://${service}-abc123-ts.a.run.app`

/** Endpoints that lead to an emulator and, where given, to a server that plays Cloud Run's API, IAM's and Cloud Storage's. */
export const endpointsOf = (
  { schedulerUrl }: Pick<Emulator, 'schedulerUrl'>,
  rest = 'http://127.0.0.1:9'
): (() => Endpoints) => {
  const auth = new GoogleAuth({ authClient: new PassThroughClient() })
  return () => ({
    emulator: schedulerUrl,
    run: `${rest}/v2`,
    iam: `${rest}/v1`,
    storage: `${rest}/storage/v1`,
    auth
  })
}

/** Adds what a running local system says of itself to an emulator. */
export const asLocalSystem = (stage = 'dev'): Pick<EmulatorOptions, 'register'> => ({
  register: (server) => {
    server.get('/api/system', (request) => ({
      consoleUrl: `http://${request.host}`,
      schedulerUrl: `http://${request.host}`,
      workerUrl: urlOf(readDeclaration(stage).service.name),
      project,
      region,
      stage,
      pid: 1
    }))
  }
})
