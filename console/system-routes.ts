import type { FastifyInstance } from 'fastify'
import { freshness, systemAddresses } from './schemas.ts'
import type { ConsoleSource } from './source.ts'

/** The addresses of all parts, for the commands and the page, and the OpenAPI document. */
export const registerSystemRoutes = (server: FastifyInstance, source: ConsoleSource): void => {
  server.get(
    '/api/system',
    { schema: { summary: 'Where everything is', response: { 200: systemAddresses } } },
    () => source.describe()
  )
  server.get(
    '/api/freshness',
    { schema: { summary: 'How old the history is, and how far back it goes', response: { 200: freshness } } },
    () => source.freshness()
  )
  server.get('/api/openapi.json', { schema: { hide: true } }, () => server.swagger())
}
