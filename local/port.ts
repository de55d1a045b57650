import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

/**
 * Checks that a port is free, before anything slow is started; 0 always is.
 *
 * @throws Error with a one-sentence message that names the option that gave the port.
 */
export const checkPort = async (host: string, port: number, option: string): Promise<void> => {
  const server = createServer()
  try {
    await once(server.listen(port, host), 'listening')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new Error(
        `--host must be an address of this machine, got '${host}': leave it out for 127.0.0.1`,
        {
          cause: error
        }
      )
    }
    const reason = code === 'EADDRINUSE' ? 'which something listens on' : `(${code})`
    throw new Error(
      `${option} must be a port that is free, got ${port}, ${reason}: end that, or choose another, 0 for any`,
      { cause: error }
    )
  }
  server.close()
  await once(server, 'close')
}

/** A free port on 127.0.0.1, for a program that can't choose one by itself. */
export const findFreePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
