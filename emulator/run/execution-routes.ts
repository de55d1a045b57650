import type { FastifyInstance } from 'fastify'
import { ApiError } from '../google-api/api-error.ts'
import { sendError } from '../google-api/error-handler.ts'

/** An execution of a Cloud Run job, limited to what its reader needs. */
export interface Execution {
  readonly startTime: Date
  /** undefined while it executes. */
  readonly completionTime?: Date
}

/** Finds an execution by its full name, `projects/P/locations/L/jobs/J/executions/E`; undefined when there is none. */
export type FindExecution = (name: string) => Promise<Execution | undefined> | Execution | undefined

const path = '/v2/projects/:project/locations/:location/jobs/:job/executions/:execution'

/** The Cloud Run v2 method that shows whether a job is still executing: projects.locations.jobs.executions.get. */
export const registerExecutionRoutes =
  (find: FindExecution) =>
  async (server: FastifyInstance): Promise<void> => {
    server.setErrorHandler(sendError)
    server.get(path, (request) => describeExecution(find, request.params as Record<string, string>))
  }

const describeExecution = async (
  find: FindExecution,
  { project, location, job, execution }: Readonly<Record<string, string>>
): Promise<object> => {
  const name = `projects/${project}/locations/${location}/jobs/${job}/executions/${execution}`
  const found = await find(name)
  if (!found) {
    throw new ApiError(
      'NOT_FOUND',
      `Resource '${execution}' of kind 'EXECUTION' in region '${location}' in project '${project}' does not exist.`
    )
  }
  const { startTime, completionTime } = found
  return {
    name,
    job,
    createTime: startTime.toISOString(),
    startTime: startTime.toISOString(),
    taskCount: 1,
    ...(completionTime
      ? { completionTime: completionTime.toISOString(), succeededCount: 1 }
      : { reconciling: true, runningCount: 1 })
  }
}
