import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** Where the engine has the key of a stack's secrets encrypted and decrypted, as HashiCorp Vault would. */
export interface Vault {
  readonly url: string
  close(): void
}

/**
 * A Vault of the suite's own, which gives back what it is given. Otherwise the engine would derive the key from a
 * passphrase in a million rounds, which is half of what a command costs.
 */
export const openVault = async (): Promise<Vault> => {
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() }
}

const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const { plaintext, ciphertext } = JSON.parse(await text(request)) as Record<string, string | undefined>
  response.end(JSON.stringify({ data: { ciphertext: plaintext, plaintext: ciphertext } }))
}
