import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'

/** The minimal worker of front.test.ts; MODE makes it misbehave. */
const mode = process.env.MODE

if (mode === 'broken') {
  process.stderr.write('DATABASE_URL is missing\n')
  process.exit(3)
}
if (mode === 'parent') {
  const child = spawn(process.execPath, [
    '-e',
    'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'
  ])
  process.stdout.write(`child ${child.pid}\n`)
}

if (mode === 'stubborn') {
  process.stdout.write('stubborn\n')
}

let slow: ServerResponse | undefined
let seen: (() => void) | undefined
let isAnnounced = false

const server = createServer((request, response) => {
  switch (request.url) {
    case '/health':
      if (!isAnnounced && mode === 'normal') process.stdout.write('healthy\n')
      isAnnounced = true
      return response.end()
    case '/environment':
      return response.end(JSON.stringify(Object.keys(process.env).toSorted()))
    case '/pid':
      return response.end(String(process.pid))
    case '/crash':
      return process.exit(1)
    case '/slow':
      slow = response
      return seen?.()
    case '/until-slow':
      seen = () => response.end()
      return slow ? seen() : undefined
    default:
      return response.writeHead(404).end()
  }
})
server.listen(Number(process.env.PORT), '127.0.0.1')

process.on('SIGTERM', () => {
  if (mode === 'stubborn') return
  if (mode === 'normal') process.stdout.write('SIGTERM\n')
  slow?.end('done')
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
