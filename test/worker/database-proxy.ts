import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A TCP proxy in front of PostgreSQL at which things can happen at an exact moment of a conversation. */
export interface DatabaseProxy {
  readonly url: string
  /**
   * Called with the number of each piece of data, from either side, before it is passed on; 1 is the first since
   * `restart`. The piece waits for the promise; false drops it together with its connection.
   */
  onPiece: (piece: number, data: Buffer) => boolean | Promise<boolean>
  /** Starts counting anew. */
  restart(): void
  readonly pieces: number
  /** How many connections have come so far. */
  readonly connections: number
  /** Destroys every connection. */
  cut(): void
  /** The same, noticed by its clients as `ECONNRESET`, all at once: as after a crash of the database. */
  reset(): void
  /**
   * Resolves once PostgreSQL has ended the sessions of clients that are gone. Before that it may still execute what they
   * have sent, after anything that is asked of it meanwhile.
   */
  settle(): Promise<void>
  close(): Promise<void>
}

/** Opens a proxy to the database of a URL, on a free port. */
export const openProxy = async (databaseUrl: string): Promise<DatabaseProxy> => {
  const target = new URL(databaseUrl)
  // A client's connection, and the one to PostgreSQL.
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
    // A connection that is cut under way is what these tests are about.
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
