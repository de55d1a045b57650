import { setTimeout as wait } from 'node:timers/promises'
import sql from 'sql-template-tag'
import { expect, it, onTestFinished, vi } from 'vitest'
import { limitStatements, openDatabase } from '../../../worker/database.ts'
import { readDatabaseUrl } from '../../../worker/database/address.ts'
import { createDatabase } from '../../database.ts'
import { endWorkerSessions } from '../../worker-sessions.ts'
import { openProxy } from '../database-proxy.ts'
import { faultRounds, faultSeed, makeRandom } from '../random.ts'

const connections = 3
const statements = 100 * faultRounds

it(`a statement gets its own answer or an error, whatever becomes of the network and of cancel requests, seed ${faultSeed}`, async () => {
  const random = makeRandom(faultSeed)
  const isOneOf = (count: number): boolean => random(count) === 0
  const { url, sql: owner } = await createDatabase()
  const proxy = await openProxy(url)
  proxy.onPiece = async (_piece, data) => {
    // A cancel request uses a connection of its own.
    const isCancel = data.length === 16
    if (isOneOf(isCancel ? 2 : 20)) await wait(random(isCancel ? 2_500 : 60))
    return !isOneOf(isCancel ? 4 : 100)
  }
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const pool = openDatabase(readDatabaseUrl(`${proxy.url}?sslmode=disable`), { connections })

  const ask = async (number: number): Promise<string> => {
    const limit = isOneOf(2) ? 20_000 : random(120)
    const divisor = isOneOf(10) ? 0 : 1
    try {
      const rows = await limitStatements(pool, () => limit).query<{ answer: number }>(sql`
        select ${number}::int / case n when 3 then ${divisor}::int else 1 end as answer
        from generate_series(1, 3) as n, pg_sleep(${isOneOf(2) ? 0 : random(100) / 1_000})`)
      const answers = Array.from(rows, (row) => row?.answer)
      const isOurs = answers.length === 3 && answers.every((answer) => answer === number)
      return isOurs && divisor === 1 ? 'its answer' : 'an answer to another statement'
    } catch (error) {
      const { code } = error as { code: string }
      if (code === '22012' && divisor === 1) return 'an error of another statement'
      return /^(22012|57014|08|57P)/.test(code) ? 'an error' : String(error)
    }
  }
  const outcomes: Record<string, number> = {}
  let asked = 0
  const askOneByOne = async (): Promise<void> => {
    while (asked < statements) {
      asked += 1
      // A session that seems to have been idle is checked first.
      if (isOneOf(10)) vi.advanceTimersByTime(60_000)
      if (isOneOf(20)) await endWorkerSessions(owner)
      const outcome = await ask(asked)
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: 2 * connections }, askOneByOne))
  expect(Object.keys(outcomes).toSorted()).toEqual(['an error', 'its answer'])

  proxy.onPiece = () => true
  const numbers = Array.from({ length: 2 * connections }, (_, index) => index)
  expect(
    await Promise.all(
      numbers.map(async (number) => (await pool.query(sql`select ${number}::int as answer`))[0])
    )
  ).toEqual(numbers.map((answer) => ({ answer })))
  await pool.end()
  await proxy.close()
})
