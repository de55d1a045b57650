import { Metadata, Server, ServerCredentials } from '@grpc/grpc-js'
import type { sendUnaryData, ServerUnaryCall, ServiceDefinition, ServiceError } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import type { MessageTypeDefinition, Options } from '@grpc/proto-loader'
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import { ApiError, statusCodes } from './api-error.ts'
import { toApiError } from './error-handler.ts'

/** A service of a Google API: its methods by their names in camelCase. */
export interface GrpcService {
  readonly definition: ServiceDefinition
  readonly methods: Readonly<Record<string, GrpcMethod>>
}

/** Takes and returns messages of its definition, as plain objects. */
// oxlint-disable-next-line typescript/no-explicit-any -- Each method knows the message type in its definition.
export type GrpcMethod = (request: any) => object

/** Answers gRPC on connections that are handed to it. */
export interface GrpcServer {
  inject(connection: Duplex): void
  close(): void
}

/** Finds a service in a description of its .proto files, in protobufjs's JSON. */
export const loadService = (
  description: object,
  name: string,
  methods: Readonly<Record<string, GrpcMethod>>
): GrpcService => ({
  definition: fromJSON(description, messageOptions)[name] as unknown as ServiceDefinition,
  methods
})

/** Errors reach the client with google.rpc's code, message and details; the cause of an internal error stays here. */
export const createGrpcServer = (
  services: readonly GrpcService[],
  log: Pick<Logger, 'error'>
): GrpcServer => {
  const server = new Server()
  for (const { definition, methods } of services) {
    server.addService(
      definition,
      Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, answerWith(method, log)]))
    )
  }
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  return {
    inject: (connection) => injector.injectConnection(connection),
    close: () => {
      injector.destroy()
      server.forceShutdown()
    }
  }
}

// Enums by name and bytes in base64, as in JSON; a field that was not sent is absent.
const messageOptions: Options = { longs: Number, enums: String, bytes: String, defaults: false }

const answerWith =
  (method: GrpcMethod, log: Pick<Logger, 'error'>) =>
  ({ request }: ServerUnaryCall<object, object>, callback: sendUnaryData<object>): void => {
    try {
      callback(null, method(request))
    } catch (error) {
      const known = toApiError(error)
      if (known.status === 'INTERNAL') log.error({ err: error }, 'a call failed')
      callback(describeError(known))
    }
  }

const describeError = ({ status, message, details }: ApiError): Partial<ServiceError> => {
  const code = statusCodes[status]
  const metadata = new Metadata()
  if (details.length > 0) {
    metadata.set(
      'grpc-status-details-bin',
      statusType.serialize({ code, message, details: details.map(packDetail) })
    )
  }
  return { code, details: message, metadata }
}

const packDetail = ({ '@type': url = '', ...detail }: { readonly '@type'?: string }): object => ({
  type_url: url,
  value: detailTypes[url]?.serialize(detail)
})

/** google/rpc/status.proto and error_details.proto, limited to the details that errors here carry. */
const errorTypes = fromJSON(
  {
    nested: {
      'google.protobuf': {
        nested: {
          Any: { fields: { type_url: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } }
        }
      },
      'google.rpc': {
        nested: {
          Status: {
            fields: {
              code: { type: 'int32', id: 1 },
              message: { type: 'string', id: 2 },
              details: { rule: 'repeated', type: 'google.protobuf.Any', id: 3 }
            }
          },
          BadRequest: {
            fields: { fieldViolations: { rule: 'repeated', type: 'FieldViolation', id: 1 } },
            nested: {
              FieldViolation: {
                fields: { field: { type: 'string', id: 1 }, description: { type: 'string', id: 2 } }
              }
            }
          }
        }
      }
    }
  },
  messageOptions
) as Record<string, MessageTypeDefinition<object, object>>
const statusType = errorTypes['google.rpc.Status'] as MessageTypeDefinition<object, object>
const detailTypes: Record<string, MessageTypeDefinition<object, object> | undefined> = {
  'type.googleapis.com/google.rpc.BadRequest': errorTypes['google.rpc.BadRequest']
}
