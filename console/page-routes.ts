import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'

const pageFolder = join(import.meta.dirname, 'page')
const chartFolder = dirname(fileURLToPath(import.meta.resolve('uplot')))
const chartFiles = ['uPlot.esm.js', 'uPlot.min.css']

/** The page and its files, each at a path of its own: no other file on the disk can be requested. */
export const registerPage = async (server: FastifyInstance): Promise<void> => {
  await server.register(fastifyStatic, { serve: false, cacheControl: false })
  for (const file of await readdir(pageFolder)) {
    const path = file === 'index.html' ? '/' : `/page/${file}`
    server.get(path, { schema: { hide: true } }, (_request, reply) => reply.sendFile(file, pageFolder))
  }
  for (const file of chartFiles) {
    server.get(`/uplot/${file}`, { schema: { hide: true } }, (_request, reply) =>
      reply.sendFile(file, chartFolder)
    )
  }
}
