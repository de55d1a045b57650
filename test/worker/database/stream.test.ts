import { expect, it, onTestFinished } from 'vitest'
import { readDatabaseUrl } from '../../../worker/database/address.ts'
import { buildMessage } from '../../../worker/database/session.ts'
import { ServerStream } from '../../../worker/database/stream.ts'
import { createDatabase } from '../../database.ts'
import { endWorkerSessions } from '../../worker-sessions.ts'

const { url, sql: owner } = await createDatabase()

/** Opens a stream, greeted as postgres.js does it. */
const openStream = () => {
  const stream = new ServerStream({
    address: readDatabaseUrl(url),
    settings: { startup: {}, options: {} },
    statementLimit: 20
  })
  onTestFinished(() => void stream.destroy())
  let received = Buffer.alloc(0)
  stream.on('data', (data: Buffer) => (received = Buffer.concat([received, data])))
  const typesOf = (): string => {
    let types = ''
    for (let at = 0; at < received.length; at += 1 + received.readInt32BE(at + 1))
      types += received.toString('latin1', at, at + 1)
    return types
  }
  /** Writes messages, and waits until all messages of these types have come in answer. */
  const send = async (messages: readonly Buffer[], types: string): Promise<Buffer> => {
    received = Buffer.alloc(0)
    stream.write(Buffer.concat(messages))
    await expect.poll(typesOf).toBe(types)
    return received
  }
  return { send, typesOf }
}

const startUp = Buffer.from('\0\0\0\u0009\0\u0003\0\0\0')
const parse = buildMessage('P', "\0select $1::int, pg_backend_pid(), 'first'\0\0\0")
const describeUnnamed = buildMessage('D', 'S\0')
const flush = buildMessage('H', '')
// One parameter of one byte, all of it text.
const bind = buildMessage('B', '\0\0\0\0\0\u0001\0\0\0\u00011\0\0')
const execute = buildMessage('E', '\0\0\0\0\0')
const sync = buildMessage('S', '')
const query = buildMessage('Q', "select 'second'\0")

it('drops what is left of a statement whose session was lost, and sends the statement after it', async () => {
  const { send, typesOf } = openStream()
  await send([startUp], 'RKZZ')
  await send([parse, describeUnnamed, flush], '1tT')
  await endWorkerSessions(owner, 5_000)
  await expect.poll(typesOf).toBe('1tTECZ')
  expect(String(await send([bind, execute, sync, query], 'TDCZ'))).toContain('second')
  expect(String(await send([sync, query], 'TDCZ'))).toContain('second')
})
