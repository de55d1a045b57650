import type { FastifyInstance } from 'fastify'
import type { Publisher } from './publisher.ts'

/** Published messages, oldest first: `GET /emulator/v1/messages?topic=projects/P/topics/T` → `{messages}`. */
export const registerMessageRoutes =
  (publisher: Pick<Publisher, 'listMessages'>) =>
  async (server: FastifyInstance): Promise<void> => {
    server.get('/emulator/v1/messages', (request) => {
      const { topic } = request.query as Record<string, string | undefined>
      return { messages: publisher.listMessages(topic) }
    })
  }
