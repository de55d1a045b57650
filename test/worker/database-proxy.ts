import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A TCP proxy in front of PostgreSQL that can act at an exact moment of a conversation. */
export interface DatabaseProxy {
  readonly url: string
  /**
   * Called with the number of each piece of data, from either side, before it is passed on; 1 is the first since
   * `restart`. The piece waits for the promise; false drops it together with its connection.
   */
  onPiece: (piece: number, data: Buffer) => boolean | Promise<boolean>
  /** Restarts the count. */
  restart(): void
  readonly pieces: number
  /** Connections accepted so far. */
  readonly connections: number
  /** Destroys every connection. */
  cut(): void
  /** The same, but clients see `ECONNRESET`, all at once, as after a crash of the database. */
  reset(): void
  /**
   * Resolves once PostgreSQL has ended the sessions of disconnected clients. Until then it may still execute what they
   * have sent, even after newer statements.
   */
  settle(): Promise<void>
  close(): Promise<void>
}

/** Opens a proxy to the database of a URL, on a free port. */
export const openProxy = async (databaseUrl: string): Promise<DatabaseProxy> => {
  const target = new URL(databaseUrl)
  // Client connection → PostgreSQL connection.
  const upstreams = new Map<Socket, Socket>()
  const pass = (from: Socket, to: Socket) => {
    let queue = Promise.resolve()
    const passOn = async (piece: number, data: Buffer): Promise<void> => {
      if (from.destroyed || to.destroyed) return
      if (await proxy.onPiece(piece, data)) to.write(data)
      else {
        from.destroy()
        to.destroy()
      }
    }
    from.on('data', (data: Buffer) => {
      pieces += 1
      const piece = pieces
      queue = queue.then(() => passOn(piece, data))
    })
    // Expected: these tests cut connections under way.
    from.on('error', () => from.destroy())
  }
  let pieces = 0
  let connections = 0
  const server = createServer((client) => {
    connections += 1
    const upstream = connect(Number(target.port), target.hostname)
    upstreams.set(client, upstream)
    pass(client, upstream)
    pass(upstream, client)
    // Not destroyed, so that its end shows that PostgreSQL has ended the session.
    client.on('close', () => upstream.end())
    upstream.on('close', () => {
      client.destroy()
      upstreams.delete(client)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(databaseUrl)
  url.port = String((server.address() as AddressInfo).port)
  const proxy: DatabaseProxy = {
    url: url.href,
    onPiece: () => true,
    restart: () => {
      pieces = 0
    },
    get connections() {
      return connections
    },
    get pieces() {
      return pieces
    },
    cut: () => {
      for (const client of upstreams.keys()) client.destroy()
    },
    reset: () => {
      for (const client of upstreams.keys()) client.resetAndDestroy()
    },
    settle: async () => {
      const left = [...upstreams].filter(([client]) => client.destroyed)
      await Promise.all(left.map(([, upstream]) => once(upstream, 'close')))
    },
    close: async () => {
      proxy.cut()
      server.close()
      await once(server, 'close')
    }
  }
  return proxy
}
