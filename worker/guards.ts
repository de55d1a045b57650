import type { Sql } from 'postgres'
import type { Job } from '../jobs/define-job.ts'

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
  const wanted = listColumns(job)
  const found = await sql<Column[]>`
    select wanted.table_name as "table", wanted.column_name as "column", wanted.privilege,
      case when attribute.attname is null then null else format_type(attribute.atttypid, null) end as type,
      case when attribute.attname is null then true
        else has_column_privilege(relation.oid, attribute.attnum, wanted.privilege) end as granted
    from unnest(
      ${wanted.map((column) => column.table)}::text[],
      ${wanted.map((column) => column.column)}::text[],
      ${wanted.map((column) => column.privilege)}::text[]
    ) with ordinality as wanted (table_name, column_name, privilege, position)
    left join pg_class relation on relation.oid = to_regclass(quote_ident(wanted.table_name))
    left join pg_attribute attribute on attribute.attrelid = relation.oid
      and attribute.attname = wanted.column_name
      and not attribute.attisdropped
    order by wanted.position`
  const faults = found.flatMap((column, index) => {
    const place = `${column.table}.${column.column}`
    const must = wanted[index]?.type ?? ''
    if (column.type !== must)
      return [`${place} must be of type ${must}, got ${column.type ?? 'no such column'}`]
    if (!column.granted) {
      return [`the role lacks a right: grant ${column.privilege} (${column.column}) on ${column.table} to it`]
    }
    return []
  })
  return [...new Set([...faults, ...(await findTableFaults(sql, job)), ...(await findClockFaults(sql, now))])]
}

interface Column {
  readonly table: string
  readonly column: string
  readonly privilege: string
  readonly type: string | null
  readonly granted: boolean
}

const listColumns = (job: Job) =>
  Object.entries(job.tables).flatMap(([table, use]) =>
    (['select', 'update', 'insert'] as const).flatMap((privilege) =>
      Object.entries(use[privilege] ?? {}).map(([column, type]) => ({ table, column, privilege, type }))
    )
  )

const findTableFaults = async (sql: Sql, job: Job): Promise<string[]> => {
  const tables = Object.entries(job.tables).flatMap(([table, use]) => (use.delete ? [table] : []))
  const missing = await sql<{ table: string }[]>`
    select wanted as "table"
    from unnest(${tables}::text[]) as wanted
    where not coalesce(has_table_privilege(to_regclass(quote_ident(wanted)), 'delete'), true)`
  return missing.map(({ table }) => `the role lacks a right: grant delete on ${table} to it`)
}

const findClockFaults = async (sql: Sql, now: Date): Promise<string[]> => {
  const [row] = await sql<{ seconds: number }[]>`
    select extract(epoch from clock_timestamp())::float8 as seconds`
  const difference = Math.abs((row?.seconds ?? 0) - now.getTime() / 1000)
  if (difference < maxClockDifferenceSeconds) return []
  return [
    `the clocks of the database and the worker must differ by less than ${maxClockDifferenceSeconds} s, ` +
      `got ${Math.round(difference)} s: set the one that is wrong`
  ]
}
