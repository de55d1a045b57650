import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

// The service that 5,000 jobs call, in its own process as anywhere: it records when each call arrives.
const count = Number(process.argv[2])
const arrivals: [instant: number, scheduleTime: string][] = []

const server = createServer((request, response) => {
  arrivals.push([Date.now(), String(request.headers['x-cloudscheduler-scheduletime'])])
  response.end('{}')
  if (arrivals.length === count) process.send?.({ arrivals })
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.once('disconnect', () => process.exit())
