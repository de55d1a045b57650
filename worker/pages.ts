import type { Input, Selection } from '../jobs/define-job.ts'

/** A position in the order of a selection. Without a key it comes after all rows of its time. */
export interface Bound {
  /** A timestamptz as `timeText` writes it, with its microseconds. */
  readonly at: string
  readonly key?: string
}

/** The rows after `from` up to and including `to`; without one of them, from the first row or to the last. */
export interface Range {
  readonly from?: Bound | undefined
  readonly to?: Bound | undefined
}

/** What a statement of a selection is for: the rows of a range, or those with some keys. */
export interface Rows {
  readonly range?: Range
  /** `$3`. */
  readonly keys?: readonly string[]
  /** Values of `$2` in addition to the selection's own input. */
  readonly input?: Input
}

/** A statement of a selection. */
export interface PageStatement extends Rows {
  readonly text: string
}

/** An instant as text that means the same under every setting of DateStyle and TimeZone. */
export const timeText = (instant: string): string => `to_jsonb(${instant}) #>> '{}'`

// The order of the parameters: $1 the instant, $2 the input, $3 the keys, then the bounds. These are typed, since
// casting a constant for each row costs more than the row.
const bounds = { from: { at: '$4', key: '$5' }, to: { at: '$6', key: '$7' } } as const

/**
 * Where a page of `size` rows ends, by the time alone, which is read from the index; null if fewer rows are left. If the
 * next row has the same time (`isTied`), the keys must decide: see `findTiedBound`. If there is no next row, the page is
 * the last one (`isLast`).
 */
export const findBound = (selection: Selection, range: Range, size: number): PageStatement => {
  const { from, time } = selection
  // Each condition separately, in index order and no further than the page goes.
  const times = conditionsOf(selection).map(
    (due) => `
      (
        select ${time} as at
        from ${from}
        where ${isInRange({ ...selection, due }, range)}
        order by ${time}
        limit ($2 ->> 'whole')::int + 2
      )`
  )
  return {
    text: `
      select ${timeText('min(at)')} as at, count(*) = 2 and min(at) = max(at) as "isTied", count(*) < 2 as "isLast"
      from (
        select at
        from (${times.join(' union all ')}) earliest
        order by at
        offset ($2 ->> 'whole')::int
        limit 2
      ) ends`,
    input: { whole: size - 1 },
    range
  }
}

/**
 * The row that ends a page of `size` rows. It sorts the rows of the range, so it costs more than `findBound`, whose time
 * the range must end with: no later row is read.
 */
export const findTiedBound = (selection: Selection, range: Range, size: number): PageStatement => {
  const { from, time, key } = selection
  return {
    text: `
      select ${timeText(time)} as at, ${key}::text as key
      from ${from}
      where ${isDueInRange(selection, range)}
      order by ${time}, ${key}
      offset ($2 ->> 'whole')::int
      limit 1`,
    input: { whole: size - 1 },
    range
  }
}

/** Whether rows are left to act on. */
export const isAnyReady = (selection: Selection, range: Range): PageStatement => ({
  text: `select ${conditionsOf(selection)
    .map((due) => `exists (${leftInRange({ ...selection, due, alsoDue: undefined }, range)})`)
    .join(' or ')} as any`,
  range
})

/** How many rows would be acted on, and the names of ten of them. */
export const countReady = (selection: Selection, sampleSize: number): PageStatement => {
  const { from, time, key, label = `${key}::text` } = selection
  // Read-only before the first row is read, so that even a function that writes would fail.
  const isReadOnly = `(select set_config('transaction_read_only', 'on', true)) = 'on'`
  const rows = `from ${from} where ${isReadOnly} and ${isDueInRange(selection, {})} and ${readyOf(selection)}`
  return {
    text: `
      select
        (select count(*)::int ${rows}) as count,
        array(select ${label} ${rows} order by ${time}, ${key} limit ${sampleSize}) as sample`
  }
}

/** The keys of the rows of a range that are still to be acted on, in their order. */
export const listLeft = (selection: Selection, range: Range): PageStatement => {
  const { time, key } = selection
  return {
    text: `${leftInRange(selection, range, `${key}::text as key`)} order by ${time}, ${key}`,
    range
  }
}

/** How many rows of a range are still to be acted on. */
export const countLeft = (selection: Selection, range: Range): PageStatement => ({
  text: leftInRange(selection, range, 'count(*)::int as count'),
  range
})

/**
 * The rows with these keys and what the work outside the database needs of them. Each is locked while this query runs:
 * rows that someone is changing are skipped, and rows that were changed are judged as they are now.
 *
 * By keys, not by a range: if thousands of rows have the same time, every query for a range would read all of them. The
 * commit is asynchronous: it only releases the locks.
 */
export const findOutsideRows = (
  selection: Selection,
  columns: string,
  keys: readonly string[]
): PageStatement => {
  const { from, key, lock } = selection
  return {
    text: `
      select ${columns}, ${key}::text as key
      from set_config('synchronous_commit', 'off', true) as commit, ${from}
      ${lock?.join ?? ''}
      where ${isDueOfKeys(selection)}
      and ${readyOf(selection)}
      for update of ${lock?.of ?? aliasOf(from)} skip locked`,
    keys
  }
}

/** Locks the due rows of a range, or those with the keys in `$3`, and returns their keys. */
export const lockRows = (selection: Selection, range: Range | undefined, skipLocked: boolean): string => {
  const { from, key, lock } = selection
  return `
    select array_agg(key)
    from (
      select ${key}::text as key
      from ${from}
      ${lock?.join ?? ''}
      where ${range ? isDueInRange(selection, range) : isDueOfKeys(selection)}
      order by ${lock?.order ?? key}
      for update of ${lock?.of ?? aliasOf(from)} ${skipLocked ? 'skip locked' : ''}
    ) locked`
}

/** Deletes the due rows of a range. */
export const deleteRange = (selection: Selection, range: Range, skipLocked: boolean): string => {
  const { from, key } = selection
  const rows = isDueInRange(selection, range)
  return skipLocked
    ? `delete from ${from} where ${key} in (select ${key} from ${from} where ${rows} for update skip locked)`
    : `delete from ${from} where ${rows}`
}

/** The rows of a range that are still to be acted on. */
export const leftInRange = (selection: Selection, range: Range, columns = ''): string =>
  `select ${columns} from ${selection.from} where ${isDueInRange(selection, range)} and ${readyOf(selection)}`

/** The conditions of due rows: each due row matches exactly one. */
const conditionsOf = ({ due, alsoDue }: Selection): readonly string[] =>
  alsoDue === undefined ? [due] : [due, alsoDue]

const isDueInRange = (selection: Selection, range: Range): string =>
  isInRange({ ...selection, due: `(${conditionsOf(selection).join(' or ')})` }, range)

/**
 * The due rows among those with the keys in `$3`. With `coalesce` no index fits the condition: the planner would else read
 * the entries of all due rows for each batch.
 */
const isDueOfKeys = (selection: Selection): string =>
  `${selection.key} = any ($3::${selection.keyType}[]) and coalesce(${isDueInRange(selection, {})}, false)`

const isInRange = ({ time, key, keyType, due }: Selection, { from, to }: Range): string =>
  [
    due,
    ...(from ? [compare(time, key, keyType, '>', from, bounds.from)] : []),
    ...(to ? [compare(time, key, keyType, '<=', to, bounds.to)] : [])
  ].join(' and ')

const compare = (
  time: string,
  key: string,
  keyType: string,
  operator: '>' | '<=',
  bound: Bound,
  parameters: { readonly at: string; readonly key: string }
): string =>
  bound.key === undefined
    ? `${time} ${operator} ${parameters.at}`
    : `(${time}, ${key}) ${operator} (${parameters.at}, ${parameters.key}::${keyType})`

const readyOf = ({ ready }: Selection): string => (ready ? `(${ready})` : 'true')

const aliasOf = (from: string): string => from.split(' ').at(-1)!
