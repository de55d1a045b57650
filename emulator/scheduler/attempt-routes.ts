import type { FastifyInstance } from 'fastify'
import type { Store } from '../store.ts'

const defaultLimit = 100
const maxLimit = 10_000

/** The latest attempts over HTTP, newest first: `GET /emulator/v1/attempts?job=FULL_NAME&limit=100` → `{attempts}`. */
export const registerAttemptRoutes =
  (store: Pick<Store, 'readLastAttempts'>) =>
  async (server: FastifyInstance): Promise<void> => {
    server.get('/emulator/v1/attempts', (request) => {
      const { job, limit } = request.query as Record<string, string | undefined>
      const wanted = Number(limit ?? defaultLimit)
      return {
        attempts: store.readLastAttempts({
          job,
          limit: wanted >= 0 && wanted <= maxLimit ? Math.floor(wanted) : defaultLimit
        })
      }
    })
  }
