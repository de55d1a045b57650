import swagger from '@fastify/swagger'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { registerClockRoutes } from './clock-routes.ts'
import { registerDueRoutes } from './due-routes.ts'
import { answerError } from './error-answer.ts'
import { registerEventRoutes } from './event-routes.ts'
import { registerHistoryRoutes } from './history-routes.ts'
import { registerJobRoutes } from './job-routes.ts'
import { registerOtherMethods } from './other-methods.ts'
import { registerPage } from './page-routes.ts'
import { writeJsonSchemas } from './schemas.ts'
import { refuseOtherSites, setSecurityHeaders } from './security.ts'
import type { ConsoleSource } from './source.ts'
import { registerSystemRoutes } from './system-routes.ts'
import { registerTroubleRoutes } from './trouble-routes.ts'
import { registerWeekRoutes } from './week-routes.ts'

/**
 * The web console: one page, and the JSON endpoints behind it, under `/api/`.
 *
 * Register it on a server that itself refuses foreign Origins and rebound Hosts, like the emulator's or that of
 * server.ts.
 */
export const registerConsole = async (server: FastifyInstance, source: ConsoleSource): Promise<void> => {
  const routes: RouteOptions[] = []
  // A scope of its own: the headers and the OpenAPI document must not cover Google's paths on the same server.
  await server.register(async (scope) => {
    scope.addHook('onRequest', refuseOtherSites)
    scope.addHook('onSend', setSecurityHeaders)
    scope.setErrorHandler(answerError)
    scope.addHook('onRoute', writeJsonSchemas)
    scope.addHook('onRoute', (route) => void routes.push(route))
    await scope.register(swagger, { openapi: document })

    registerSystemRoutes(scope, source)
    registerJobRoutes(scope, source)
    registerHistoryRoutes(scope, source)
    registerWeekRoutes(scope, source)
    registerDueRoutes(scope, source)
    registerTroubleRoutes(scope, source)
    registerClockRoutes(scope, source)
    registerEventRoutes(scope, source)
    await registerPage(scope)
  })
  await server.register(async (scope) => {
    scope.addHook('onSend', setSecurityHeaders)
    registerOtherMethods(scope, routes)
  })
}

const document = {
  openapi: '3.1.0',
  info: {
    title: 'Console of the scheduled jobs',
    description:
      'What the page of the local system is made from. Instants are UTC, RFC 3339. An error is ' +
      '`{"error": {"code", "message", "status"}}`, as in Google’s API.',
    version: '1'
  }
}
