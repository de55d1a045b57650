import type { PendingQuery, Sql } from 'postgres'
import type { PageStatement } from './pages.ts'

/**
 * The parameters of a selection's statements behind `$1`: the input, the keys, and the bounds of a range. They are typed, so
 * that a statement may leave some of them out.
 */
export const bindRows = (sql: Sql, { input, keys, range: { from, to } }: Omit<PageStatement, 'text'>) =>
  ({
    input: sql.json(input as never),
    keys: sql.typed(keys ? [...keys] : null, types.texts),
    fromTime: sql.typed(from?.at ?? null, types.timestamptz),
    fromKey: sql.typed(from?.key ?? null, types.text),
    toTime: sql.typed(to?.at ?? null, types.timestamptz),
    toKey: sql.typed(to?.key ?? null, types.text)
  }) as const

/**
 * Sends a selection's statement.
 *
 * @param now the instant of the run, as `timeText` writes it.
 */
export const ask = <Answer extends object>(
  sql: Sql,
  now: string,
  statement: PageStatement
): PendingQuery<Answer[]> =>
  sql.unsafe<Answer[]>(statement.text, [
    sql.typed(now, types.timestamptz),
    ...(Object.values(bindRows(sql, statement)) as never[])
  ])

const types = { text: 25, texts: 1009, timestamptz: 1184 } as const
