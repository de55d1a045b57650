import protos from '@google-cloud/scheduler/build/protos/protos.json' with { type: 'json' }
import type { GrpcService } from '../google-api/grpc-server.ts'
import { loadService } from '../google-api/grpc-server.ts'
import { invalidArgument } from '../google-api/api-error.ts'
import { readProtobuf, writeProtobuf } from '../google-api/protobuf-json.ts'
import { describeLocation } from './job-name.ts'
import { jobFields } from './job-message.ts'
import type { Job } from './job-message.ts'
import type { JobMethods } from './job-methods.ts'

/** Cloud Scheduler v1 and its locations over gRPC: the same methods as over REST, with messages converted to JSON. */
export const createSchedulerServices = (jobs: JobMethods): GrpcService[] => {
  const printJob = (job: Job): object => writeProtobuf(job, jobFields)
  const ofName =
    (method: (name: string) => Job) =>
    ({ name = '' }: NameRequest): object =>
      printJob(method(name))
  return [
    loadService(protos, 'google.cloud.scheduler.v1.CloudScheduler', {
      listJobs: ({ parent = '', ...page }: ListJobsRequest) => {
        const { jobs: listed, ...rest } = jobs.list(parent, page)
        return { jobs: listed.map(printJob), ...rest }
      },
      getJob: ofName((name) => jobs.get(name)),
      createJob: ({ parent = '', job }: { parent?: string; job?: object }) =>
        printJob(jobs.create(parent, readProtobuf(job, jobFields))),
      updateJob: ({ job, updateMask }: UpdateJobRequest) =>
        printJob(jobs.update(job?.name ?? '', readProtobuf(job, jobFields), readMask(updateMask?.paths))),
      deleteJob: ({ name = '' }: NameRequest) => {
        jobs.delete(name)
        return {}
      },
      pauseJob: ofName((name) => jobs.pause(name)),
      resumeJob: ofName((name) => jobs.resume(name)),
      runJob: ofName((name) => jobs.run(name))
    }),
    loadService(locations, 'google.cloud.location.Locations', {
      listLocations: ({ name = '' }: NameRequest) => {
        const { project } = readLocationName(name, /^projects\/(?<project>[^/]+)$/, 'projects/<PROJECT_ID>')
        return {
          locations: jobs.listLocations(project).map((location) => describeLocation(project, location))
        }
      },
      getLocation: ({ name = '' }: NameRequest) => {
        const shape = /^projects\/(?<project>[^/]+)\/locations\/(?<location>[^/]+)$/
        const { project, location } = readLocationName(
          name,
          shape,
          'projects/<PROJECT_ID>/locations/<LOCATION_ID>'
        )
        return describeLocation(project, jobs.getLocation(project, location))
      }
    })
  ]
}

interface NameRequest {
  readonly name?: string
}

interface ListJobsRequest {
  readonly parent?: string
  readonly pageSize?: number
  readonly pageToken?: string
}

interface UpdateJobRequest {
  readonly job?: { readonly name?: string }
  readonly updateMask?: { readonly paths?: readonly string[] }
}

/** Over gRPC, a mask may use only the field names of the .proto file; JSON has them in camelCase. */
const readMask = (paths: readonly string[] = []): string => {
  const wrong = paths.find((path) => /[^a-z0-9_.*]/.test(path))
  if (wrong !== undefined) throw invalidArgument(`Invalid mask for Job: ${wrong}`)
  return paths.join(',')
}

const readLocationName = (
  name: string,
  shape: RegExp,
  format: string
): Record<string, string> & NameParts => {
  const { groups } = shape.exec(name) ?? {}
  if (!groups) throw invalidArgument(`name must be formatted: "${format}", got "${name}".`)
  return groups as Record<string, string> & NameParts
}

interface NameParts {
  readonly project: string
  readonly location: string
}

/** google/cloud/location/locations.proto, which @google-cloud/scheduler leaves to google-gax. */
const locations = {
  nested: {
    'google.protobuf': {
      nested: {
        Any: { fields: { type_url: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } }
      }
    },
    'google.cloud.location': {
      nested: {
        Locations: {
          methods: {
            ListLocations: { requestType: 'ListLocationsRequest', responseType: 'ListLocationsResponse' },
            GetLocation: { requestType: 'GetLocationRequest', responseType: 'Location' }
          }
        },
        ListLocationsRequest: {
          fields: {
            name: { type: 'string', id: 1 },
            filter: { type: 'string', id: 2 },
            pageSize: { type: 'int32', id: 3 },
            pageToken: { type: 'string', id: 4 }
          }
        },
        ListLocationsResponse: {
          fields: {
            locations: { rule: 'repeated', type: 'Location', id: 1 },
            nextPageToken: { type: 'string', id: 2 }
          }
        },
        GetLocationRequest: { fields: { name: { type: 'string', id: 1 } } },
        Location: {
          fields: {
            name: { type: 'string', id: 1 },
            labels: { keyType: 'string', type: 'string', id: 2 },
            locationId: { type: 'string', id: 4 },
            displayName: { type: 'string', id: 5 }
          }
        }
      }
    }
  }
}
