import sql from 'sql-template-tag'
import type { Database } from './pool.ts'

/**
 * The settings that affect the meaning of the worker's statements, or the rows they see, with PostgreSQL's defaults. Each
 * connection requests them, overriding the role and the database. A pooler may drop the request, so they are checked.
 */
export const neutralSettings = {
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  array_nulls: 'on',
  transform_null_equals: 'off',
  quote_all_identifiers: 'off',
  exit_on_error: 'off',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  // Not the default. With `on`, row-level security would silently hide rows; with `off`, such a query is an error.
  row_security: 'off'
} as const

/**
 * Why no job may run on this server in its present state: it is read-only, a setting changes the meaning of statements, or
 * rows or tables are hidden.
 *
 * @param tables that are read or changed.
 * @returns sentences, each with its fix; empty when all is well.
 */
export const findServerFaults = async (database: Database, tables: readonly string[]): Promise<string[]> => {
  const [found] = await database.query<Found>(sql`
    select quote_ident(current_user) as role,
      pg_is_in_recovery() as "isStandby",
      current_setting('transaction_read_only')::bool as "isReadOnly",
      current_setting('search_path') as path,
      (select jsonb_object_agg(name, current_setting(name)) from unnest(${Object.keys(checkedSettings)}::text[]) as name)
        as settings,
      array(
        select name from unnest(${tables}::text[]) as name where to_regclass(quote_ident(name)) is null
      ) as missing,
      array(
        select name
        from unnest(${tables}::text[]) as name
        where case when to_regclass(quote_ident(name)) is not null then row_security_active(quote_ident(name)) end
      ) as hidden`)
  const { role, settings, path, missing, hidden } = found!
  return [
    ...describeReadOnly(found!),
    ...Object.entries(checkedSettings)
      .filter(([name, must]) => settings[name] !== must)
      .map(
        ([name, must]) =>
          `the setting ${name} must be '${must}', got '${settings[name]}': alter role ${role} set ${name} = '${must}'`
      ),
    ...(missing.length === 0
      ? []
      : [
          `search_path must lead to ${missing.join(', ')}, got '${path}': alter role ${role} set search_path to the ` +
            "schema of the application's tables, or add ?options=-csearch_path%3DSCHEMA to DATABASE_URL"
        ]),
    ...hidden.map(
      (table) =>
        `row-level security must not hide rows of ${table} from the role: alter role ${role} bypassrls (as a superuser), ` +
        `or alter table ${table} disable row level security`
    )
  ]
}

/** Why a server can't be written, in a sentence. */
export const describeReadOnly = ({ isStandby, isReadOnly }: Writability): string[] =>
  isStandby
    ? ['the server must be the primary, got a standby, which is read-only: correct DATABASE_URL']
    : isReadOnly
      ? [
          'default_transaction_read_only must be off, got on for this role, database or server: switch it off there'
        ]
      : []

export interface Writability {
  readonly isStandby: boolean
  readonly isReadOnly: boolean
}

interface Found extends Writability {
  readonly role: string
  readonly path: string
  readonly settings: Readonly<Record<string, string>>
  readonly missing: readonly string[]
  readonly hidden: readonly string[]
}

const { row_security: _asked, ...meanings } = neutralSettings
// Not requested above: every pooler keeps the first of the last two, and not every role may set the second.
const checkedSettings: Readonly<Record<string, string>> = {
  ...meanings,
  standard_conforming_strings: 'on',
  session_replication_role: 'origin'
}
