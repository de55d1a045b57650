import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ApiError, badRequest, invalidArgument } from '../google-api/api-error.ts'
import { readJsonBodies } from '../google-api/json-body.ts'
import { repeatedParameters } from '../google-api/server.ts'
import { httpMethods, jobStates } from './job-message.ts'
import type { Job } from './job-message.ts'
import { describeLocation } from './job-name.ts'
import type { JobMethods } from './job-methods.ts'

/** Cloud Scheduler v1 over REST, at Google's paths. Register it as a separate plugin: it replaces the body parsers. */
export const registerSchedulerRoutes =
  (jobs: JobMethods) =>
  async (server: FastifyInstance): Promise<void> => {
    // Google's front end accepts JSON under any content type: `curl -d` sends that of a form.
    server.removeAllContentTypeParsers()
    readJsonBodies(server, '*')

    const parent = '/v1/projects/:project/locations/:location'
    server.get(`${parent}/jobs`, (request) => {
      const query = readQuery(request, ['pageSize', 'pageToken'])
      const { jobs: page, ...rest } = jobs.list(readParent(request), {
        ...(query.pageSize === undefined ? {} : { pageSize: readPageSize(query.pageSize) }),
        ...(query.pageToken === undefined ? {} : { pageToken: query.pageToken })
      })
      // Protobuf leaves out an empty list.
      return { ...(page.length > 0 ? { jobs: page.map((job) => printJob(job, request)) } : {}), ...rest }
    })
    server.post(`${parent}/jobs`, (request) => {
      readQuery(request, [])
      return printJob(jobs.create(readParent(request), request.body), request)
    })
    server.get(`${parent}/jobs/:job`, (request) => {
      readQuery(request, [])
      return printJob(jobs.get(readName(request)), request)
    })
    server.patch(`${parent}/jobs/:job`, (request) => {
      const { updateMask } = readQuery(request, ['updateMask'])
      return printJob(jobs.update(readName(request), request.body, updateMask), request)
    })
    server.delete(`${parent}/jobs/:job`, (request) => {
      readQuery(request, [])
      jobs.delete(readName(request))
      return {}
    })
    // To the router, a job's id and the `:pause` after it are one segment.
    server.post(`${parent}/jobs/:job`, (request) => {
      readQuery(request, [])
      const [, name, verb = ''] = /^(.*):([a-z]+)$/i.exec(readName(request)) ?? []
      if (name === undefined || !isVerb(verb)) throw new ApiError('NOT_FOUND', notFoundText(request))
      return printJob(jobs[verb](name), request)
    })
    server.get('/v1/projects/:project/locations', (request) => {
      readQuery(request, ['pageSize', 'pageToken', 'filter'])
      const { project = '' } = request.params as Record<string, string>
      return { locations: jobs.listLocations(project).map((location) => describeLocation(project, location)) }
    })
    server.get(parent, (request) => {
      readQuery(request, [])
      const { project = '', location = '' } = request.params as Record<string, string>
      return describeLocation(project, jobs.getLocation(project, location))
    })
    server.all('/v1/*', (request) => {
      throw new ApiError('NOT_FOUND', notFoundText(request))
    })
  }

const verbs = ['pause', 'resume', 'run'] as const

const isVerb = (verb: string): verb is (typeof verbs)[number] => (verbs as readonly string[]).includes(verb)

/** The parameters common to all methods of Google's APIs (https://cloud.google.com/apis/docs/system-parameters). */
const systemParameters = new Set(
  'alt $alt access_token callback fields key oauth_token prettyPrint $prettyPrint quotaUser uploadType upload_protocol $.xgafv'.split(
    ' '
  )
)

const readQuery = <Name extends string>(
  request: FastifyRequest,
  names: readonly Name[]
): Partial<Record<Name, string>> => {
  const query: Partial<Record<Name, string>> = {}
  for (const [given, value] of Object.entries(request.query as Record<string, string>)) {
    const name = names.find((known) => given === known || given === toSnakeCase(known))
    if (name && query[name] !== undefined) throw repeatedParameters([name])
    if (name) query[name] = value
    else if (!systemParameters.has(given)) {
      throw badRequest([
        {
          field: '',
          description:
            `Invalid JSON payload received. Unknown name "${given}": Cannot bind query parameter. ` +
            `Field '${given}' could not be found in request message.`
        }
      ])
    }
  }
  return query
}

const readPageSize = (text: string): number => {
  if (/^-?[0-9]{1,9}$/.test(text)) return Number(text)
  throw invalidArgument(`Invalid value at 'page_size' (TYPE_INT32), "${text}"`)
}

const readParent = (request: FastifyRequest): string => {
  const { project, location } = request.params as Record<string, string>
  return `projects/${project}/locations/${location}`
}

const readName = (request: FastifyRequest): string =>
  `${readParent(request)}/jobs/${(request.params as Record<string, string>).job}`

/** Enums are names, or numbers for clients that ask for them: `$alt=json;enum-encoding=int`. */
const printJob = (job: Job, request: FastifyRequest): object => {
  const { alt, $alt } = request.query as Record<string, string | undefined>
  if (!($alt ?? alt ?? '').includes('enum-encoding=int')) return job
  return {
    ...job,
    state: jobStates.indexOf(job.state),
    ...(job.httpTarget
      ? { httpTarget: { ...job.httpTarget, httpMethod: httpMethods.indexOf(job.httpTarget.httpMethod) } }
      : {})
  }
}

const notFoundText = (request: FastifyRequest): string =>
  `Method not found: ${request.method} ${request.url.split('?')[0]}. ` +
  'The emulator serves Cloud Scheduler v1: projects.locations and projects.locations.jobs with pause, resume and run.'

const toSnakeCase = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
