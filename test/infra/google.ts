import { createRequire } from 'node:module'

interface Kept {
  readonly type: string
  inputs: Properties
}

type Properties = Record<string, unknown>

/** One call of the provider that changed something, in order. */
interface Change {
  readonly kind: 'create' | 'update' | 'delete'
  readonly id: string
  readonly name: string
  readonly stage: string
}

/**
 * The suite's fake Google Cloud behind the engine's provider protocol: stores created resources under the ids that
 * Google assigns, refuses duplicate names, forgets deleted resources, and can be changed by hand between two commands.
 * Serves both `gcp` and `docker`.
 */
export interface Google {
  /** For PULUMI_DEBUG_PROVIDERS. */
  readonly port: number
  readonly resources: Map<string, Kept>
  readonly changes: Change[]
  close(): void
}

const project = 'test-project'

export const openGoogle = async (): Promise<Google> => {
  const resources = new Map<string, Kept>()
  const changes: Change[] = []
  const server = new grpc.Server()
  server.addService(providerService.ResourceProviderService, buildHandlers(resources, changes))
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound)
    )
  })
  return { port, resources, changes, close: () => server.forceShutdown() }
}

const buildHandlers = (resources: Map<string, Kept>, changes: Change[]): Record<string, Handler> => {
  const note = (kind: Change['kind'], id: string, urn: string) =>
    changes.push({ kind, id, name: nameOf(urn), stage: urn.split('::')[0]?.split(':').at(-1) ?? '' })
  const handlers: Record<string, Handler> = {
    configure: () => new messages.ConfigureResponse().setAcceptresources(true).setSupportspreview(true),
    checkConfig: (request) => new messages.CheckResponse().setInputs(request.getNews()),
    diffConfig: () => new messages.DiffResponse(),
    check: (request) => new messages.CheckResponse().setInputs(request.getNews()),
    diff: (request) => diff(request),
    create: (request) => {
      const inputs = request.getProperties().toJavaScript()
      const type = typeOf(request.getUrn())
      if (request.getPreview()) {
        return new messages.CreateResponse().setProperties(describe(type, unknown, inputs))
      }
      const id = idOf(type, nameOf(request.getUrn()), inputs)
      if (resources.has(id) && !isShared(type)) throw new Error(`Error 409: ${id} already exists.`)
      resources.set(id, { type, inputs })
      note('create', id, request.getUrn())
      return new messages.CreateResponse().setId(id).setProperties(describe(type, id, inputs))
    },
    read: (request) => {
      const kept = resources.get(request.getId())
      if (!kept) return new messages.ReadResponse().setId('')
      return new messages.ReadResponse()
        .setId(request.getId())
        .setProperties(describe(kept.type, request.getId(), kept.inputs))
        .setInputs(Struct.fromJavaScript(kept.inputs))
    },
    update: (request) => {
      const id = request.getId()
      const inputs = request.getNews().toJavaScript()
      const type = typeOf(request.getUrn())
      if (!request.getPreview()) {
        refusePause(resources.get(id), request.getOlds().toJavaScript(), inputs)
        resources.set(id, { type, inputs })
        note('update', id, request.getUrn())
      }
      return new messages.UpdateResponse().setProperties(describe(type, id, inputs))
    },
    delete: (request) => {
      if (!isShared(typeOf(request.getUrn()))) resources.delete(request.getId())
      note('delete', request.getId(), request.getUrn())
      return new Empty()
    },
    cancel: () => new Empty(),
    attach: () => new Empty(),
    getPluginInfo: () => new pluginMessages.PluginInfo().setVersion('9.37.0')
  }
  return Object.fromEntries(
    Object.keys(providerService.ResourceProviderService).map((name) => [name, answer(name, handlers[name])])
  )
}

/** The provider requests a pause if its state has none; Cloud Scheduler refuses to pause a paused job. */
const refusePause = (kept: Kept | undefined, before: Properties, after: Properties): void => {
  if (kept?.inputs.paused === true && before.paused === false && after.paused === true) {
    throw new Error('Error 400: Job must be ENABLED to be paused, got PAUSED')
  }
}

const answer =
  (name: string, handler: Handler | undefined): Handler =>
  (call: Message, reply: (error: unknown, response?: unknown) => void) => {
    if (!handler) return reply({ code: grpc.status.UNIMPLEMENTED, message: name })
    try {
      return reply(null, handler(call.request))
    } catch (error) {
      return reply({ code: grpc.status.UNKNOWN, message: (error as Error).message })
    }
  }

// What Google can't change in an existing resource.
const replacing = new Set([
  'name',
  'location',
  'region',
  'accountId',
  'repositoryId',
  'role',
  'member',
  'bucket'
])

const diff = (request: Message): unknown => {
  const before: Properties = request.getOldInputs().toJavaScript()
  const after: Properties = request.getNews().toJavaScript()
  const changed = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (key) => !request.getIgnorechangesList().includes(key) && sorted(before[key]) !== sorted(after[key])
  )
  return new messages.DiffResponse()
    .setChanges(messages.DiffResponse.DiffChanges[changed.length > 0 ? 'DIFF_SOME' : 'DIFF_NONE'])
    .setDiffsList(changed)
    .setReplacesList(changed.filter((key) => replacing.has(key)))
}

const sorted = (value: unknown): string | undefined =>
  JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : item
  )

/** The id that Google gives, by type; two resources with the same id collide. */
const idOf = (type: string, name: string, inputs: Properties): string => {
  const { name: given, region, location, accountId, service, role } = inputs as Record<string, string>
  if (type.endsWith(':Job')) return `projects/${project}/locations/${region}/jobs/${given}`
  if (type.endsWith('cloudrunv2/service:Service')) {
    return `projects/${project}/locations/${location}/services/${given}`
  }
  if (type.endsWith(':Account')) return `projects/${project}/serviceAccounts/${emailOf(accountId)}`
  if (type.endsWith('projects/service:Service')) return `${project}/${service}`
  if (role) return Object.values(inputs).join(' ')
  if (type.endsWith(':Repository')) return `repositories/${inputs.repositoryId as string}`
  return `${type}/${name}/${(nextNumber += 1)}`
}

let nextNumber = 0

// Several stages of a project may each enable the same API.
const isShared = (type: string): boolean => type.endsWith('projects/service:Service')

const emailOf = (accountId: unknown): string => `${accountId as string}@${project}.iam.gserviceaccount.com`

/** A resource with what Google computes, which is unknown before it exists. */
const describe = (type: string, id: string, inputs: Properties): unknown => {
  const compute = (value: string): string => (id === unknown ? unknown : value)
  const computed: Properties = { name: inputs.name ?? id }
  if (type.endsWith(':Account')) {
    computed.email = compute(emailOf(inputs.accountId))
    computed.member = compute(`serviceAccount:${emailOf(inputs.accountId)}`)
  }
  if (type.endsWith('cloudrunv2/service:Service')) {
    computed.uri = compute(`https://${inputs.name as string}-abc123-ts.a.run.app`)
  }
  if (type.endsWith(':Image')) {
    computed.repoDigest = compute(`${inputs.imageName as string}@sha256:${'d'.repeat(64)}`)
  }
  return Struct.fromJavaScript({ ...inputs, ...computed })
}

// The engine protocol's placeholder for an unknown text.
const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9'

const typeOf = (urn: string): string => urn.split('::')[2]?.split('$').at(-1) ?? ''
const nameOf = (urn: string): string => urn.split('::')[3] ?? ''

// The SDK's own copies of gRPC and the messages: it rejects those of another copy. They are untyped.
// oxlint-disable-next-line typescript/no-explicit-any
type Message = any
// oxlint-disable-next-line typescript/no-explicit-any
type Handler = (...values: any[]) => any

const sdk: Handler = createRequire(createRequire(import.meta.url).resolve('@pulumi/pulumi'))
const grpc = sdk('@grpc/grpc-js') as {
  Server: new () => {
    addService(definition: unknown, handlers: Record<string, Handler>): void
    bindAsync(address: string, credentials: unknown, done: (error: Error | null, port: number) => void): void
    forceShutdown(): void
  }
  ServerCredentials: { createInsecure(): unknown }
  status: Record<string, number>
}
const providerService = sdk('@pulumi/pulumi/proto/provider_grpc_pb') as {
  ResourceProviderService: Record<string, unknown>
}
const messages = sdk('@pulumi/pulumi/proto/provider_pb')
const pluginMessages = sdk('@pulumi/pulumi/proto/plugin_pb')
const { Struct } = sdk('google-protobuf/google/protobuf/struct_pb')
const { Empty } = sdk('google-protobuf/google/protobuf/empty_pb')
