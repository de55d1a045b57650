import { setTimeout } from 'node:timers/promises'
import sql from 'sql-template-tag'
import { limitStatements } from '../worker/database.ts'
import type { Database } from '../worker/database/pool.ts'

const lookEvery = 1_000
// Only a timeout shows that a server is gone if it never closed its connections.
const patience = 5_000

/**
 * Reports when the database stops answering and when it answers again. At first it is assumed to answer.
 *
 * @param signal ends the watch.
 */
export const watchDatabase = async (
  database: Database,
  onChange: (answers: boolean) => void,
  signal: AbortSignal
): Promise<void> => {
  const limited = limitStatements(database, () => patience)
  let answered = true
  while (!signal.aborted) {
    const answers = await limited.query(sql`select 1`).then(
      () => true,
      () => false
    )
    if (!signal.aborted && answers !== answered) onChange(answers)
    answered = answers
    await setTimeout(lookEvery, undefined, { signal, ref: false }).catch(() => undefined)
  }
}
