import type { Sql } from 'postgres'
import type { Job } from '../jobs/define-job.ts'
import { findServerFaults } from './server-faults.ts'

// A clock further off than this makes "not in the future" and every age wrong.
const maxClockDifferenceSeconds = 120

/**
 * Why a job must not touch the database as it is now: a table or column that is not there or has another type, a right
 * that is missing, clocks that differ. Looked at before every run, so that no migration of the application can turn a
 * run into a wrong delete.
 *
 * @param now the worker's clock.
 * @returns sentences, each with its fix; empty when the job may run.
 */
export const findGuardFaults = async (sql: Sql, job: Job, now: Date): Promise<string[]> => {
  const faultsOfServer = await findServerFaults(sql, Object.keys(job.tables))
  const wanted = listRights(job)
  const found = await sql<Found[]>`
    select case when attribute.attname is null then null else format_type(attribute.atttypid, null) end as type,
      coalesce(
        case wanted.privilege
          when 'delete' then has_table_privilege(relation.oid, wanted.privilege)
          else has_column_privilege(relation.oid, attribute.attnum, wanted.privilege)
        end,
        true
      ) as granted,
      extract(epoch from clock_timestamp())::float8 as seconds
    from unnest(
      ${wanted.map(({ table }) => table)}::text[],
      ${wanted.map(({ column }) => column ?? '')}::text[],
      ${wanted.map(({ privilege }) => privilege)}::text[]
    ) with ordinality as wanted (table_name, column_name, privilege, position)
    left join pg_class relation on relation.oid = to_regclass(quote_ident(wanted.table_name))
    left join pg_attribute attribute on attribute.attrelid = relation.oid
      and attribute.attname = wanted.column_name
      and not attribute.attisdropped
    order by wanted.position`
  const faults = wanted.flatMap(({ table, column, privilege, type }, index) => {
    const { type: isType, granted } = found[index] ?? { type: null, granted: true }
    if (column !== undefined && isType !== type)
      return [`${table}.${column} must be of type ${type}, got ${isType ?? 'no such column'}`]
    if (granted) return []
    return [`the role lacks a right: grant ${privilege}${column ? ` (${column})` : ''} on ${table} to it`]
  })
  return [...new Set([...faults, ...faultsOfServer, ...findClockFaults(found[0]?.seconds, now)])]
}

/** A right that a job needs: on a column of a type, or on a whole table. */
interface Right {
  readonly table: string
  readonly column?: string
  readonly type?: string
  readonly privilege: 'select' | 'update' | 'insert' | 'delete'
}

interface Found {
  readonly type: string | null
  readonly granted: boolean
  readonly seconds: number
}

const listRights = (job: Job): Right[] =>
  Object.entries(job.tables).flatMap(([table, use]): Right[] => [
    ...(['select', 'update', 'insert'] as const).flatMap((privilege) =>
      Object.entries(use[privilege] ?? {}).map(([column, type]) => ({ table, column, type, privilege }))
    ),
    ...(use.delete ? [{ table, privilege: 'delete' } as const] : [])
  ])

const findClockFaults = (seconds: number | undefined, now: Date): string[] => {
  const difference = seconds === undefined ? 0 : Math.abs(seconds - now.getTime() / 1000)
  if (difference < maxClockDifferenceSeconds) return []
  return [
    `the clocks of the database and the worker must differ by less than ${maxClockDifferenceSeconds} s, ` +
      `got ${Math.round(difference)} s: set the one that is wrong`
  ]
}
