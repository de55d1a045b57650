import { readFile } from 'node:fs/promises'
import type { Database } from '../../worker/database/pool.ts'
import { mapDeletions } from '../jobs/deletions.ts'

/** Gives a database the virtual clock, and the soak's own record of each row that the worker changes. */
export const createAudit = async (database: Database): Promise<void> => {
  for (const file of ['clock.sql', 'audit.sql'])
    await database.query({ text: await readFile(new URL(file, import.meta.url), 'utf8') })
  const triggers = mapDeletions(
    ({ table, key, time, days = 0 }) => `
      create trigger soak_delete after delete on ${table}
        referencing old table as before
        for each statement execute function soak.note_deletion('${key}', '${time}', '${days * 24} hours')`
  )
  await database.query({ text: Object.values(triggers).join(';') })
}
