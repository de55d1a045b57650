import sql from 'sql-template-tag'
import type { Job, KnownRelease } from '../jobs/define-job.ts'
import type { Database } from './database/pool.ts'
import { findServerFaults } from './database/server-faults.ts'

// With more drift than this, "in the future" and every age would be wrong.
const maxClockDifferenceSeconds = 120

/**
 * Why a job must not run on the database in its present state: a missing table or column, a column of another type, a
 * missing privilege, an unknown release of the application, clocks that differ. Checked before every run, so that no
 * migration of the application can turn a run into a wrong delete.
 *
 * @param now the worker's clock.
 * @returns sentences, each with its fix; empty when the job may run.
 */
export const findGuardFaults = async (database: Database, job: Job, now: Date): Promise<string[]> => {
  const faultsOfServer = await findServerFaults(database, Object.keys(job.tables))
  const wanted = listRights(job)
  const found = await database.query<Found>(sql`
    select case when attribute.attname is null then null else format_type(attribute.atttypid, null) end as type,
      -- By oid: a setting may put the type's name in quotes.
      coalesce(attribute.atttypid = to_regtype(nullif(wanted.type, '')), false) as fits,
      coalesce(
        case wanted.privilege
          when 'delete' then has_table_privilege(relation.oid, wanted.privilege)
          else has_column_privilege(relation.oid, attribute.attnum, wanted.privilege)
        end,
        true
      ) as granted,
      (extract(epoch from clock_timestamp()) * 1000)::bigint::text as milliseconds
    from unnest(
      ${wanted.map(({ table }) => table)}::text[],
      ${wanted.map(({ column }) => column ?? '')}::text[],
      ${wanted.map(({ privilege }) => privilege)}::text[],
      ${wanted.map(({ type }) => type ?? '')}::text[]
    ) with ordinality as wanted (table_name, column_name, privilege, type, position)
    left join pg_class relation on relation.oid = to_regclass(quote_ident(wanted.table_name))
    left join pg_attribute attribute on attribute.attrelid = relation.oid
      and attribute.attname = wanted.column_name
      and not attribute.attisdropped
    order by wanted.position`)
  const faults = wanted.flatMap(({ table, column, privilege, type }, index) => {
    const { type: isType, fits, granted } = found[index]!
    if (column !== undefined && !fits)
      return [`${table}.${column} must be of type ${type}, got ${isType ?? 'no such column'}`]
    if (granted) return []
    return [`the role lacks a right: grant ${privilege}${column ? ` (${column})` : ''} on ${table} to it`]
  })
  return [
    ...new Set([
      ...faults,
      ...faultsOfServer,
      ...(job.release ? await findReleaseFaults(database, job.release) : []),
      ...findClockFaults(Number(found[0]?.milliseconds ?? now), now)
    ])
  ]
}

/**
 * A later release stores more with a row than the job knows: the job would delete data that must stay, and leave data that
 * must go. Only the system catalogue is read, which every role may do.
 */
const findReleaseFaults = async (
  database: Database,
  { columns = {}, referencedBy = {}, absent = [] }: KnownRelease
): Promise<string[]> => {
  const tables = [...new Set([...Object.keys(columns), ...Object.keys(referencedBy)])]
  const [found] = await database.query<{ columns: string[]; references: string[]; tables: string[] }>(sql`
    select
      array(
        select tables.name || '.' || attribute.attname
        from unnest(${tables}::text[]) tables (name)
        join pg_attribute attribute on attribute.attrelid = to_regclass(quote_ident(tables.name))
        where attribute.attnum > 0
        and not attribute.attisdropped
        order by attribute.attnum
      ) as columns,
      array(
        select distinct tables.name || ' ' || referencing.relname
        from unnest(${tables}::text[]) tables (name)
        join pg_constraint reference on reference.confrelid = to_regclass(quote_ident(tables.name))
        join pg_class referencing on referencing.oid = reference.conrelid
        where reference.contype = 'f'
      ) as references,
      array(
        select tables.name
        from unnest(${[...absent]}::text[]) tables (name)
        where to_regclass(quote_ident(tables.name)) is not null
      ) as tables`)
  const known = new Set(
    Object.entries(columns).flatMap(([table, names]) => names.map((name) => `${table}.${name}`))
  )
  const knownReferences = new Set(
    Object.entries(referencedBy).flatMap(([table, names]) => names.map((name) => `${table} ${name}`))
  )
  const unknown = [
    ...found!.columns.filter((column) => !known.has(column)).map((column) => `the column ${column}`),
    ...found!.references
      .filter((reference) => !knownReferences.has(reference))
      .map((reference) => `the table ${reference.split(' ')[1]} (it references ${reference.split(' ')[0]})`),
    ...found!.tables.map((table) => `the table ${table}`)
  ]
  if (unknown.length === 0) return []
  return [
    `the application must be of a release that this job knows, got ${unknown.join(', ')}: pause the job and leave its work ` +
      'to the application, or deploy a worker for that release (docs/operating.md)'
  ]
}

/** A privilege that a job needs: on a column of a given type, or on a whole table. */
interface Right {
  readonly table: string
  readonly column?: string
  readonly type?: string
  readonly privilege: 'select' | 'update' | 'insert' | 'delete'
}

interface Found {
  readonly type: string | null
  readonly fits: boolean
  readonly granted: boolean
  readonly milliseconds: string
}

const listRights = (job: Job): Right[] =>
  Object.entries(job.tables).flatMap(([table, use]): Right[] => [
    ...(['select', 'update', 'insert'] as const).flatMap((privilege) =>
      Object.entries(use[privilege] ?? {}).map(([column, type]) => ({ table, column, type, privilege }))
    ),
    ...(use.delete ? [{ table, privilege: 'delete' } as const] : [])
  ])

const findClockFaults = (milliseconds: number, now: Date): string[] => {
  const difference = Math.abs(milliseconds - now.getTime()) / 1000
  if (difference < maxClockDifferenceSeconds) return []
  return [
    `the clocks of the database and the worker must differ by less than ${maxClockDifferenceSeconds} s, ` +
      `got ${Math.round(difference)} s: set the one that is wrong`
  ]
}
