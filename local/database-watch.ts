import { setTimeout } from 'node:timers/promises'
import type { Sql } from 'postgres'
import { limitStatements } from '../worker/database.ts'

const lookEvery = 1_000
// Only a timeout shows that a server is gone if it never closed its connections.
const patience = 5_000

/**
 * Reports when the database stops answering and when it answers again. At first it is assumed to answer.
 *
 * @param signal ends the watch.
 */
export const watchDatabase = async (
  sql: Sql,
  onChange: (answers: boolean) => void,
  signal: AbortSignal
): Promise<void> => {
  const limited = limitStatements(sql, () => patience)
  let answered = true
  while (!signal.aborted) {
    const answers = await limited`select 1`.then(
      () => true,
      () => false
    )
    if (!signal.aborted && answers !== answered) onChange(answers)
    answered = answers
    await setTimeout(lookEvery, undefined, { signal, ref: false }).catch(() => undefined)
  }
}
