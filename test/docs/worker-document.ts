import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { healthAnswers, runAnswers } from '../../jobs/answer.ts'
import { endpointOf, type Job } from '../../jobs/define-job.ts'
import { jobs } from '../../jobs/index.ts'
import { parameterSchemaOf } from '../../jobs/parameters.ts'

/** The OpenAPI document of the worker: docs/worker.openapi.json. */
export const describeWorker = (catalogue: readonly Job[] = jobs): object => ({
  openapi: '3.1.0',
  info: {
    title: 'Worker of the scheduled jobs',
    description:
      'Cloud Run lets in whom its IAM names. A trailing slash may be left out; a body is read as JSON whatever its type.',
    version: '1'
  },
  paths: Object.fromEntries([
    ...catalogue.map((job) => [endpointOf(job), { post: describeRun(job) }]),
    ...['live', 'ready'].map((name) => [
      `/health/${name}`,
      { get: { operationId: name, responses: referTo('health', healthAnswers) } }
    ])
  ]) as object,
  components: {
    responses: { ...describeAnswers('run', runAnswers), ...describeAnswers('health', healthAnswers) }
  }
})

const describeRun = (job: Job) => ({
  operationId: job.id,
  summary: job.description,
  parameters: [
    {
      name: 'X-CloudScheduler-ScheduleTime',
      in: 'header',
      description: 'The tick; without it, or with a time to come, the run is one by hand',
      schema: { type: 'string', format: 'date-time' }
    }
  ],
  requestBody: { content: { 'application/json': { schema: toJsonSchema(parameterSchemaOf(job)) } } },
  responses: referTo('run', runAnswers)
})

type Answers = Readonly<Record<number, z.ZodType>>

const referTo = (kind: string, answers: Answers) =>
  Object.fromEntries(
    Object.keys(answers).map((status) => [status, { $ref: `#/components/responses/${kind}-${status}` }])
  )

const describeAnswers = (kind: string, answers: Answers) =>
  Object.fromEntries(
    Object.entries(answers).map(([status, schema]) => [
      `${kind}-${status}`,
      {
        description: schema.description,
        content: { 'application/json': { schema: toJsonSchema(schema) } }
      }
    ])
  )

const toJsonSchema = (schema: z.ZodType): object => {
  const { $schema: _, ...written } = z.toJSONSchema(schema)
  return written
}

if (import.meta.main) {
  await writeFile(
    join(import.meta.dirname, '../../docs/worker.openapi.json'),
    `${JSON.stringify(describeWorker(), null, 2)}\n`
  )
}
