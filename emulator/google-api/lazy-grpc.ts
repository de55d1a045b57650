import type { Socket } from 'node:net'
import type { GrpcServer } from './grpc-server.ts'

/** A server of gRPC that is made when the first connection asks for it. */
export interface LazyGrpc {
  inject(connection: Socket): void
  close(): Promise<void>
}

/** @param load loads what it is made of: its libraries take as long to load as the rest of the emulator. */
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
