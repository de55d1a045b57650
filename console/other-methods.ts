import type { FastifyInstance, RouteOptions } from 'fastify'

/** Answers 405 to a method that a path does not support, and names the supported ones. */
export const registerOtherMethods = (server: FastifyInstance, routes: readonly RouteOptions[]): void => {
  for (const [url, ofPath] of Map.groupBy(routes, (route) => route.url)) {
    const known = new Set(ofPath.flatMap(({ method }) => method))
    const allowed = [...known].toSorted().join(', ')
    server.route({
      method: server.supportedMethods.filter((method) => !known.has(method)),
      url,
      schema: { hide: true },
      // Runs before the body is checked, which may be invalid, too.
      onRequest: async (request, reply) => {
        await reply
          .code(405)
          .header('allow', allowed)
          .send({
            error: {
              code: 405,
              message: `The method must be one of ${allowed}, got ${request.method}.`,
              status: 'UNIMPLEMENTED'
            }
          })
      },
      handler: () => undefined
    })
  }
}
