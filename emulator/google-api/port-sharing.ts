import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Lets an HTTP/1.1 server share its port: a connection that begins as HTTP/2 goes to `takeHttp2`.
 *
 * A gRPC client without TLS begins with a fixed line (RFC 9113, section 3.4), and `PRI` is not an HTTP/1.1 method.
 *
 * @param patience how long, in milliseconds, a connection may stay silent while its protocol is unknown.
 */
export const sharePort = (server: Server, takeHttp2: (socket: Socket) => void, patience: number): void => {
  const listeners = server.listeners('connection') as ((socket: Socket) => void)[]
  const takeHttp1 = (socket: Socket): void => {
    for (const listener of listeners) listener.call(server, socket)
  }
  const undecided = new Set<Socket>()
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    undecided.add(socket)
    const giveUp = (): void => void socket.destroy()
    const timer = setTimeout(giveUp, patience).unref()
    socket.on('error', giveUp)
    socket.once('close', () => undecided.delete(socket))
    let head = Buffer.alloc(0)
    const look = (): void => {
      const part = socket.read() as Buffer | null
      if (part) head = Buffer.concat([head, part])
      if (head.length < preface.length && preface.startsWith(head.toString('latin1'))) return
      clearTimeout(timer)
      undecided.delete(socket)
      socket.off('readable', look)
      socket.unshift(head)
      if (head[0] === tlsHandshake) refuseTls(socket)
      else if (head.subarray(0, preface.length).toString('latin1') === preface) takeHttp2(socket)
      else takeHttp1(socket)
    }
    socket.on('readable', look)
  })
  // The server does not know of connections whose protocol is still undecided.
  const close = server.close.bind(server)
  server.close = (callback) => {
    for (const socket of undecided) socket.destroy()
    return close(callback)
  }
}

const preface = 'PRI * HTTP/2.0'
const tlsHandshake = 0x16

/** A client that begins with TLS gets the alert protocol_version at once, instead of waiting for an answer. */
const refuseTls = (socket: Socket): void => {
  socket.on('error', () => socket.destroy())
  socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 70]))
  socket.resume()
}
