import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type ApiDocument, findDocuments, listMethods, type Method, readDocument } from './documents.ts'
import { applyMask, type Message, printMessage, readMessage } from './message.ts'

/** A request that the provider made, and its answer. */
export interface Exchange {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly message: string
}

/** An error that an API returns in place of its answer, a number of times. */
export interface Outage {
  /** For example `POST /run/`. */
  readonly request: RegExp
  readonly status: number
  times: number
}

/**
 * Google's APIs on this machine, except Cloud Scheduler's, which the emulator serves. Each follows its discovery
 * document and refuses anything else with 400. Answers have no zeros; an operation is done at the second poll; an API
 * must be enabled first; a revision needs its account, its secrets and their grants.
 */
export interface GoogleApis extends Disposable {
  readonly url: string
  /** For the provider: each API's address, and a token. */
  readonly environment: Readonly<Record<string, string>>
  readonly exchanges: Exchange[]
  readonly outages: Outage[]
  /** Resources by their names, policies among them. */
  readonly store: Map<string, Message>
  /** How many of the next revisions fail to become ready. */
  failingRevisions: number
}

const documentsByApi = {
  run: ['run.v2'],
  iam: ['iam.v1'],
  secretmanager: ['secretmanager.v1'],
  monitoring: ['monitoring.v3', 'monitoring.v1'],
  artifactregistry: ['artifactregistry.v1'],
  serviceusage: ['serviceusage.v1'],
  cloudresourcemanager: ['cloudresourcemanager.v1'],
  storage: ['storage.v1'],
  scheduler: ['cloudscheduler.v1']
} as const

type Api = keyof typeof documentsByApi

interface Route {
  readonly pattern: RegExp
  readonly method: Method
  readonly document: ApiDocument
}

interface Call {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly body: Message
  readonly route: Route
}

class Refusal extends Error {
  readonly status: number
  readonly reason: string | undefined

  constructor(status: number, message: string, reason?: string) {
    super(message)
    this.status = status
    this.reason = reason
  }
}

const states: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  503: 'UNAVAILABLE'
}

const projectNumber = '123456789012'

/** @param schedulerUrl the emulator. */
export const openGoogleApis = async (schedulerUrl: string): Promise<GoogleApis> => {
  const folder = findDocuments()
  const routes = Object.fromEntries(
    Object.entries(documentsByApi).map(([api, names]) => [
      api,
      names.flatMap((name) => {
        const document = readDocument(folder, name)
        return listMethods(document).map((method) => ({
          pattern: new RegExp(`^${(method.flatPath ?? method.path).replaceAll(/\{[^}]*\}/g, '[^/:]+')}$`),
          method,
          document
        }))
      })
    ])
  ) as Record<Api, Route[]>
  const world = createWorld()
  const exchanges: Exchange[] = []
  const outages: Outage[] = []

  const serve = async (request: IncomingMessage, sent: string): Promise<unknown> => {
    const { method = '', url = '' } = request
    const { pathname, searchParams, search } = new URL(url, 'http://127.0.0.1')
    const [, api = '', rest = ''] = /^\/([a-z]+)\/(.*)$/.exec(decodeURIComponent(pathname)) ?? []
    const outage = outages.find((one) => one.times > 0 && one.request.test(`${method} ${url}`))
    if (outage) {
      outage.times -= 1
      throw new Refusal(outage.status, 'an outage of the test')
    }
    const path = api === 'storage' ? rest.replace(/^storage\/v1\//, '') : rest
    const route = (Object.hasOwn(routes, api) ? routes[api as Api] : []).find(
      (one) => one.method.httpMethod === method && one.pattern.test(path)
    )
    if (!route) throw new Refusal(400, `no document knows ${method} ${url}`)
    const name = `${api === 'scheduler' ? 'cloudscheduler' : api}.googleapis.com`
    if (!world.enabled.has(name)) {
      throw new Refusal(
        403,
        `${name} has not been used in project ${projectNumber} before or it is disabled.`,
        'SERVICE_DISABLED'
      )
    }
    const query = Object.fromEntries(
      [...searchParams].map(([key, value]) => [
        key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
        value
      ])
    )
    const faults: string[] = []
    const known = { ...route.method.parameters, ...route.document.parameters }
    for (const key of Object.keys(query)) {
      if (!Object.hasOwn(known, key)) faults.push(`Unknown name "${key}": Cannot bind query parameter.`)
    }
    const given: unknown = sent.trim() === '' ? {} : JSON.parse(sent)
    const body = route.method.request
      ? (readMessage(route.document, route.method.request, given, '', faults) as Message)
      : {}
    if (faults.length > 0) throw new Refusal(400, faults.join('\n'))
    if (api === 'scheduler') {
      const answer = await fetch(`${schedulerUrl}/${path}${search}`, {
        method,
        headers: { 'content-type': 'application/json' },
        ...(sent === '' ? {} : { body: sent })
      })
      const found = (await answer.json()) as { error?: { message?: string } }
      if (!answer.ok) throw new Refusal(answer.status, found.error?.message ?? '')
      return found
    }
    return world.answer({ path, query, body, route })
  }

  const server = createServer((request, response) => {
    void text(request)
      .then((sent) => serve(request, sent))
      .then(
        (answer) => reply(request, response, 200, answer),
        (error: unknown) => {
          const status = error instanceof Refusal ? error.status : 500
          const message = error instanceof Error ? error.message : String(error)
          const reason = error instanceof Refusal ? error.reason : undefined
          const details = reason
            ? [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, domain: 'googleapis.com' }]
            : []
          reply(request, response, status, {
            error: { code: status, message, status: states[status] ?? 'INTERNAL', details }
          })
        }
      )
  })
  const reply = (
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    answer: unknown
  ): void => {
    exchanges.push({
      method: request.method ?? '',
      path: request.url ?? '',
      status,
      message: (answer as { error?: { message?: string } }).error?.message ?? ''
    })
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    environment: {
      GOOGLE_OAUTH_ACCESS_TOKEN: 'a-test',
      GOOGLE_CLOUD_SCHEDULER_CUSTOM_ENDPOINT: `${url}/scheduler/v1/`,
      GOOGLE_CLOUD_RUN_V2_CUSTOM_ENDPOINT: `${url}/run/v2/`,
      GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT: `${url}/artifactregistry/v1/`,
      GOOGLE_MONITORING_CUSTOM_ENDPOINT: `${url}/monitoring/`,
      GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT: `${url}/cloudresourcemanager/v1/`,
      GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT: `${url}/secretmanager/v1/`,
      GOOGLE_STORAGE_CUSTOM_ENDPOINT: `${url}/storage/storage/v1/`,
      GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT: `${url}/serviceusage/v1/`,
      GOOGLE_IAM_CUSTOM_ENDPOINT: `${url}/iam/v1/`,
      GOOGLE_IAM_BETA_CUSTOM_ENDPOINT: `${url}/iam/v1/`,
      // The released plugin would ask Compute Engine for the regions.
      PULUMI_GCP_SKIP_REGION_VALIDATION: 'true'
    },
    exchanges,
    outages,
    store: world.store,
    get failingRevisions() {
      return world.failingRevisions
    },
    set failingRevisions(count: number) {
      world.failingRevisions = count
    },
    [Symbol.dispose]: () => {
      server.closeAllConnections()
      server.close()
    }
  }
}

interface World {
  readonly store: Map<string, Message>
  readonly enabled: Set<string>
  failingRevisions: number
  answer(call: Call): unknown
}

// Enabled by docs/bootstrap.md.
const enabledAtFirst =
  'cloudresourcemanager serviceusage iam iamcredentials sts cloudkms secretmanager artifactregistry storage'

const createWorld = (): World => {
  const store = new Map<string, Message>()
  const operations = new Map<string, { looks: number; readonly end: Message }>()
  const enabled = new Set(enabledAtFirst.split(' ').map((name) => `${name}.googleapis.com`))
  let count = 0
  const next = (): string => String((count += 1))
  const now = (): string => new Date().toISOString()
  const find = (name: string): Message => {
    const found = store.get(name)
    if (!found) throw new Refusal(404, `Resource '${name}' was not found.`)
    return found
  }
  const add = (name: string, value: Message): Message => {
    if (store.has(name)) throw new Refusal(409, `Resource '${name}' already exists.`)
    store.set(name, value)
    return value
  }
  const begin = (prefix: string, type: string, end: Message): Message => {
    const name = `${prefix}operations/${next()}`
    const done = 'error' in end ? end : { response: { '@type': `type.googleapis.com/${type}`, ...end } }
    operations.set(name, { looks: 0, end: { name, done: true, ...done } })
    return { name }
  }
  const look = (name: string): Message => {
    const operation = operations.get(name)
    if (!operation) throw new Refusal(404, `operation ${name} was not found`)
    operation.looks += 1
    return operation.looks > 1 ? operation.end : { name }
  }
  const policyOf = (name: string): Message => {
    const key = `policy of ${name}`
    const found = store.get(key) ?? { version: 1, etag: 'BwAAAAAAAAA=' }
    store.set(key, found)
    return found
  }
  const setPolicy = (name: string, policy: Message): Message => {
    const { etag } = policyOf(name)
    if (policy.etag !== undefined && policy.etag !== etag) {
      throw new Refusal(409, 'There were concurrent policy changes.')
    }
    const { bindings = [] } = policy as { bindings?: { role: string; members?: string[] }[] }
    for (const member of bindings.flatMap(({ members = [] }) => members)) {
      const [, email = ''] = /^serviceAccount:(.+\.iam\.gserviceaccount\.com)$/.exec(member) ?? []
      if (email && !store.has(`account ${email}`)) {
        throw new Refusal(400, `Service account ${email} does not exist.`)
      }
    }
    const kept = { ...policy, version: 1, etag: Buffer.from(`etag ${next()}`).toString('base64') }
    store.set(`policy of ${name}`, kept)
    return kept
  }
  const answerPolicy = (name: string, { route, body }: Call): Message =>
    /[sS]etIamPolicy$/.test(route.method.id)
      ? setPolicy(name, (body.policy ?? body) as Message)
      : structuredClone(policyOf(name))

  /** Validates and completes a service as Cloud Run does before it creates a revision. */
  const settle = (sent: Message, name: string, before: Message | undefined): Message => {
    const service = structuredClone(sent)
    const template = service.template as Message & {
      serviceAccount?: string
      containers?: {
        env?: { name: string; valueSource?: { secretKeyRef?: { secret: string } } }[]
        startupProbe?: Message
        livenessProbe?: Message
        ports?: unknown
      }[]
    }
    const { serviceAccount = '', containers = [] } = template
    if (!store.has(`account ${serviceAccount}`)) {
      throw new Refusal(404, `Service account ${serviceAccount} does not exist.`)
    }
    for (const container of containers) {
      container.ports ??= [{ name: 'http1', containerPort: 8080 }]
      for (const probe of [container.startupProbe, container.livenessProbe]) {
        if (probe && Number(probe.timeoutSeconds) >= Number(probe.periodSeconds)) {
          throw new Refusal(400, 'timeout_seconds must be smaller than period_seconds')
        }
        const get = probe?.httpGet as Message | undefined
        if (get) get.port ??= 8080
      }
      for (const { valueSource } of container.env ?? []) {
        const secret = valueSource?.secretKeyRef?.secret
        if (secret === undefined) continue
        const { bindings = [] } = policyOf(`secrets/${secret}`) as {
          bindings?: { role: string; members: string[] }[]
        }
        const isGranted = bindings.some(
          ({ role, members }) =>
            role === 'roles/secretmanager.secretAccessor' &&
            members.includes(`serviceAccount:${serviceAccount}`)
        )
        if (!isGranted) throw new Refusal(400, `Permission denied on secret ${secret} for ${serviceAccount}`)
      }
    }
    const id = name.split('/').at(-1) ?? ''
    const isNewRevision = JSON.stringify(before?.template) !== JSON.stringify(template)
    const generation = Number(before?.generation ?? 0) + (isNewRevision ? 1 : 0)
    const revision = `${name}/revisions/${id}-${String(generation).padStart(5, '0')}-abc`
    const isReady = !isNewRevision || world.failingRevisions === 0
    const uri = `https://${id}-abc123-ts.a.run.app`
    return {
      launchStage: 'GA',
      traffic: [{ type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 100 }],
      ...service,
      name,
      uid: before?.uid ?? next(),
      generation: String(generation),
      observedGeneration: String(generation),
      createTime: before?.createTime ?? now(),
      updateTime: now(),
      etag: `"${next()}"`,
      uri,
      urls: [uri],
      latestCreatedRevision: isNewRevision ? revision : before?.latestCreatedRevision,
      latestReadyRevision: isReady && isNewRevision ? revision : before?.latestReadyRevision,
      trafficStatuses: [{ type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 100 }],
      terminalCondition: { type: 'Ready', state: 'CONDITION_SUCCEEDED' }
    }
  }

  const answerRun = (call: Call): unknown => {
    const { path, query, body, route } = call
    const name = path.replace(/^v2\//, '').replace(/:\w+$/, '')
    const prefix = /^projects\/[^/]+\/locations\/[^/]+\//.exec(`${name}/`)?.[0] ?? ''
    const print = (service: Message): Message =>
      printMessage(route.document, { $ref: 'GoogleCloudRunV2Service' }, service) as Message
    const put = (target: string, sent: Message): Message => {
      const service = settle(sent, target, store.get(target))
      store.set(target, service)
      if (world.failingRevisions === 0) return begin(prefix, 'google.cloud.run.v2.Service', print(service))
      world.failingRevisions -= 1
      return begin(prefix, '', { error: { code: 9, message: 'The revision failed to become ready.' } })
    }
    switch (route.method.id) {
      case 'run.projects.locations.operations.get':
        return look(name)
      case 'run.projects.locations.services.create': {
        const target = `${name}/${query.serviceId}`
        if (store.has(target)) throw new Refusal(409, `Resource '${target}' already exists.`)
        return put(target, body)
      }
      case 'run.projects.locations.services.get':
        return print(find(name))
      case 'run.projects.locations.services.patch':
        return put(name, applyMask(find(name), body, query.updateMask))
      case 'run.projects.locations.services.delete': {
        const gone = find(name)
        store.delete(name)
        store.delete(`policy of ${name}`)
        return begin(prefix, 'google.cloud.run.v2.Service', print(gone))
      }
      case 'run.projects.locations.services.getIamPolicy':
      case 'run.projects.locations.services.setIamPolicy':
        find(name)
        return answerPolicy(name, call)
      default:
        throw new Refusal(400, `${route.method.id} is not in the test's Google`)
    }
  }

  const answerAccount = ({ path, body, query, route }: Call): unknown => {
    const [, project = '', email = ''] =
      /^v1\/projects\/([^/]+)\/serviceAccounts(?:\/([^/:]+))?/.exec(path) ?? []
    const sent = (body.serviceAccount ?? body) as Message
    if (route.method.id.endsWith('.create')) {
      const made = `${body.accountId as string}@${project}.iam.gserviceaccount.com`
      return add(`account ${made}`, {
        displayName: sent.displayName,
        name: `projects/${project}/serviceAccounts/${made}`,
        projectId: project,
        uniqueId: `10000000000000000000${next()}`,
        email: made
      })
    }
    const kept = find(`account ${email}`)
    if (route.method.id.endsWith('.delete')) {
      store.delete(`account ${email}`)
      return {}
    }
    if (/\.(patch|update)$/.test(route.method.id)) {
      const mask = (body.updateMask ?? query.updateMask) as string | undefined
      store.set(`account ${email}`, { ...kept, ...applyMask(kept, sent, mask) })
    }
    return find(`account ${email}`)
  }

  const answerRepository = ({ path, query, body, route }: Call): unknown => {
    const name = path.replace(/^v1\//, '')
    const prefix = /^projects\/[^/]+\/locations\/[^/]+\//.exec(`${name}/`)?.[0] ?? ''
    const type = 'google.devtools.artifactregistry.v1.Repository'
    const print = (repository: Message): Message =>
      printMessage(route.document, { $ref: 'Repository' }, repository) as Message
    if (route.method.id.includes('.operations.')) return look(name)
    switch (route.method.id.split('.').at(-1)) {
      case 'create': {
        const made = {
          mode: 'STANDARD_REPOSITORY',
          ...body,
          name: `${name}/${query.repositoryId}`,
          createTime: now()
        }
        return begin(prefix, type, print(add(made.name, made)))
      }
      case 'patch':
        store.set(name, { ...find(name), ...applyMask(find(name), body, query.updateMask) })
        return print(find(name))
      case 'delete':
        find(name)
        store.delete(name)
        return begin(prefix, 'google.protobuf.Empty', {})
      default:
        return print(find(name))
    }
  }

  const answerMonitoring = ({ path, query, body, route }: Call): unknown => {
    const name = path.replace(/^v[13]\//, '')
    const type = route.method.request ?? route.method.response ?? {}
    const print = (one: Message): unknown => printMessage(route.document, type, one)
    switch (route.method.id.split('.').at(-1)) {
      case 'create': {
        const full = `${name}/${next()}`
        const { conditions = [] } = body as { conditions?: Message[] }
        for (const channel of (body.notificationChannels ?? []) as string[]) find(channel)
        return print(
          add(full, {
            // A policy and a channel are enabled by default; a dashboard has no such field.
            ...(route.method.id.includes('.dashboards.') ? { etag: next() } : { enabled: true }),
            ...body,
            ...(conditions.length > 0
              ? {
                  conditions: conditions.map((one, index) => ({
                    ...one,
                    name: `${full}/conditions/${index + 1}`
                  }))
                }
              : {}),
            name: full
          })
        )
      }
      case 'patch': {
        const kept = find(name)
        store.set(name, {
          ...applyMask(kept, body, query.updateMask),
          name,
          ...(route.method.id.includes('.dashboards.') ? { etag: next() } : {})
        })
        return print(find(name))
      }
      case 'delete':
        find(name)
        store.delete(name)
        return {}
      default:
        return print(find(name))
    }
  }

  const answerServices = ({ path, body, route }: Call): unknown => {
    if (route.method.id.includes('.operations.')) return look(path.replace(/^v1\//, ''))
    const describe = (name: string) => ({
      name: `projects/${projectNumber}/services/${name}`,
      parent: `projects/${projectNumber}`,
      state: enabled.has(name) ? 'ENABLED' : 'DISABLED',
      config: { name }
    })
    const [, one = ''] = /\/services\/([^/:]+)/.exec(path) ?? []
    switch (route.method.id.split('.').at(-1)) {
      case 'list':
        return { services: [...enabled].toSorted().map(describe) }
      case 'enable':
      case 'batchEnable':
        for (const name of (body.serviceIds as string[] | undefined) ?? [one]) enabled.add(name)
        return begin('', 'google.api.serviceusage.v1.BatchEnableServicesResponse', {})
      default:
        return describe(one)
    }
  }

  const answerers: Readonly<Record<string, (call: Call) => unknown>> = {
    run: answerRun,
    iam: answerAccount,
    artifactregistry: answerRepository,
    monitoring: answerMonitoring,
    serviceusage: answerServices,
    secretmanager: (call) => answerPolicy(/secrets\/[^/:]+/.exec(call.path)?.[0] ?? '', call),
    storage: (call) => {
      const [, bucket = ''] = /^b\/([^/]+)\/iam$/.exec(call.path) ?? []
      const { kind: _kind, resourceId: _id, ...body } = call.body
      const policy = answerPolicy(`buckets/${bucket}`, { ...call, body })
      return { kind: 'storage#policy', resourceId: `projects/_/buckets/${bucket}`, ...policy }
    },
    cloudresourcemanager: (call) => {
      const [, project = ''] = /projects\/([^/:]+)/.exec(call.path) ?? []
      if (!call.route.method.id.endsWith('IamPolicy')) {
        return { projectId: project, projectNumber, lifecycleState: 'ACTIVE' }
      }
      return answerPolicy(`projects/${project}`, call)
    }
  }

  const world: World = {
    store,
    enabled,
    failingRevisions: 0,
    answer: (call) => {
      const [api = ''] = call.route.method.id.split('.')
      return answerers[api]?.(call) ?? {}
    }
  }
  return world
}
