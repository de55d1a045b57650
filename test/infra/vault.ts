import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** Encrypts and decrypts the key of a stack's secrets for the engine, as HashiCorp Vault would. */
export interface Vault {
  readonly url: string
  close(): void
}

/**
 * A fake Vault that returns its input. Otherwise the engine would derive the key from a passphrase in a million rounds,
 * half the cost of a command.
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
