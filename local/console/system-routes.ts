import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { ConsoleContext } from './context.ts'

/** Where everything is, for the commands and the page; and the document of all endpoints. */
export const registerSystemRoutes = (server: FastifyInstance, { addresses }: ConsoleContext): void => {
  server.get('/api/system', { schema: { summary: 'Where everything is', response: { 200: system } } }, () =>
    addresses()
  )
  server.get('/api/openapi.json', { schema: { hide: true } }, () => server.swagger())
}

const system = Type.Object({
  consoleUrl: Type.String(),
  schedulerUrl: Type.String({ description: 'Cloud Scheduler API, identity and logs' }),
  workerUrl: Type.String({ description: "the worker's front, which checks who calls" }),
  project: Type.String(),
  region: Type.String(),
  stage: Type.String(),
  pid: Type.Integer({ description: 'of the process that runs all of it' })
})
