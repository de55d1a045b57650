import { Agent } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

// How long an idle connection is kept, in milliseconds: long enough for a minute in which thousands of jobs are due. A
// longer limit would come close to the servers' own idle timeout (Node.js: 5 s), and would delay the exit of a service
// that was told to stop.
const idleLimit = 100

/**
 * Connections to one service. If the service closed a connection just as it was reused, the attempt would fail, and
 * nobody could tell whether the service had seen the request. So a connection is reused only if the service promised
 * to keep it open (`Keep-Alive: timeout=5`), and only at once. Otherwise each request gets its own connection.
 */
export class ServiceAgent extends Agent {
  readonly #promised = new WeakSet<Duplex>()

  constructor() {
    super({ keepAlive: true, timeout: idleLimit })
  }

  /** Call this for each answer once its headers have arrived. */
  takePromise({ headers, socket }: IncomingMessage): void {
    if (headers['keep-alive'] === undefined) this.#promised.delete(socket)
    else this.#promised.add(socket)
  }

  // Node.js calls this when an answer is complete; its own check rejects a promise of one second.
  override keepSocketAlive(socket: Duplex): boolean {
    return this.#promised.has(socket) && Boolean(super.keepSocketAlive(socket))
  }
}
