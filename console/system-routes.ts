import type { FastifyInstance } from 'fastify'
import * as z from 'zod'
import type { ConsoleContext } from './context.ts'

/** Where everything is, for the commands and the page; and the document of all endpoints. */
export const registerSystemRoutes = (server: FastifyInstance, { addresses }: ConsoleContext): void => {
  server.get('/api/system', { schema: { summary: 'Where everything is', response: { 200: system } } }, () =>
    addresses()
  )
  server.get('/api/openapi.json', { schema: { hide: true } }, () => server.swagger())
}

const system = z.object({
  consoleUrl: z.string(),
  schedulerUrl: z.string().describe('Cloud Scheduler API, identity and logs'),
  workerUrl: z.string().describe("the worker's front, which checks who calls"),
  project: z.string(),
  region: z.string(),
  stage: z.string(),
  pid: z.int().describe('of the process that runs all of it')
})
