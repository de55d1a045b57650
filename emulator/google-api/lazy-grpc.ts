import type { Socket } from 'node:net'
import type { GrpcServer } from './grpc-server.ts'

/** A gRPC server that is created on the first connection. */
export interface LazyGrpc {
  inject(connection: Socket): void
  close(): Promise<void>
}

/** @param load loads the server: its libraries take as long to load as the rest of the emulator. */
export const createLazyGrpc = (load: () => Promise<GrpcServer>): LazyGrpc => {
  let loading: Promise<GrpcServer> | undefined
  let isClosed = false
  return {
    inject: (connection) => {
      loading ??= load()
      loading.then(
        (server) => (isClosed ? connection.destroy() : server.inject(connection)),
        (error: Error) => connection.destroy(error)
      )
    },
    close: async () => {
      isClosed = true
      const server = await loading
      server?.close()
    }
  }
}
