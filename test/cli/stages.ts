import { GoogleAuth, PassThroughClient } from 'google-auth-library'
import { vi } from 'vitest'
import type { Endpoints } from '../../cli/google.ts'
import type { Emulator, EmulatorOptions } from '../../emulator/emulator.ts'
import { readDeclaration } from '../../infra/stage-declaration.ts'
import { applyJobs } from '../../local/scheduler-jobs.ts'
import { startTestEmulator } from '../emulator/harness.ts'

export const region = 'australia-southeast1'
/** The project in every stage's file. */
export const project = 'your-google-project'
export const parent = `projects/${project}/locations/${region}`

/** The name of a job in Cloud Scheduler. */
export const pathOf = (name: string): string => `${parent}/jobs/${name}`

/** Starts an emulator in place of Google Cloud, with the jobs of these stages as `pulumi up` would leave them. */
export const startGoogle = async (
  stages: readonly string[],
  options: Partial<EmulatorOptions> = {}
): ReturnType<typeof startTestEmulator> => {
  const emulator = await startTestEmulator('2026-06-01T00:00:30Z', { project, ...options })
  for (const stage of stages) {
    const { jobs, service, accounts } = readDeclaration(stage)
    // `applyJobs` deletes undeclared jobs, so each stage is applied on its own.
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

/** Endpoints of an emulator and, if given, of a server that fakes the Cloud Run, IAM and Cloud Storage APIs. */
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

/** A command's clock that shows the emulator's time. */
export const clockOf = ({ clock }: Pick<Emulator, 'clock'>) => ({
  now: () => clock.now(),
  sleep: async () => undefined
})

/** Adds the local system's /api/system endpoint to an emulator. */
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

/** A stand-in for a stage's worker that writes the lines it is given, in the real worker's format. */
export const playWorker = (stage: string): Pick<EmulatorOptions, 'services'> => ({
  services: [
    {
      name: readDeclaration(stage).service.name,
      region,
      invokers: [speaker],
      upstream: {
        command: process.execPath,
        arguments: ['-e', program],
        environment: {},
        healthPath: '/',
        onOutput: () => undefined
      }
    }
  ]
})

/** Makes the stand-in worker write a line about a run, and waits until it is in the log. */
export const say = async (
  emulator: Emulator,
  event: string,
  labels: Readonly<Record<string, string>>,
  fields: object = {}
): Promise<void> => {
  const { schedulerUrl, fronts } = emulator
  const { url } = fronts[0]!
  const before = await countLines(schedulerUrl)
  await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${await emulator.mintToken(speaker, url)}` },
    body: JSON.stringify({ severity: 'INFO', event, 'logging.googleapis.com/labels': labels, ...fields })
  })
  await vi.waitUntil(async () => (await countLines(schedulerUrl)) > before)
}

const speaker = 'speaker@example.com'
const program = `require('node:http')
  .createServer(async (request, response) => {
    let line = ''
    for await (const piece of request) line += piece
    if (line) console.log(line)
    response.end()
  })
  .listen(process.env.PORT, '127.0.0.1')`

const countLines = async (schedulerUrl: string): Promise<number> => {
  const response = await fetch(`${schedulerUrl}/v2/entries:list`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      resourceNames: [`projects/${project}`],
      filter: 'resource.type="cloud_run_revision"',
      pageSize: 1_000
    })
  })
  const { entries = [] } = (await response.json()) as { entries?: object[] }
  return entries.length
}
