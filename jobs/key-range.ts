import type { Change, Input, RunContext, Statement, Work } from './define-job.ts'

/** Rows in the order of a time, and where the index on that time finds them. */
export interface TimeOrder {
  /** `submissions_submission s`: the table, with the alias that the other texts use. */
  readonly from: string
  /** The column with the time. */
  readonly time: string
  /** The column that decides among rows of the same time. */
  readonly key: string
  /** Its type. */
  readonly keyType: 'uuid' | 'varchar' | 'bigint'
  /** The condition of the rows. */
  readonly where: string
  /** `join … on …`: rows that change with them, and are passed over with them where someone holds one. */
  readonly join?: string
  /** Set where no index has the time, and each look for a row goes through many: then all bounds are looked for together. */
  readonly isSorted?: true
  /** What stands in `$2` for the condition, besides the bounds. */
  readonly input?: Input
}

/** A place in the order. Without an id it lies behind all rows of its time. */
export interface Bound {
  /** A timestamptz as PostgreSQL's text: a Date would lose its microseconds, and rows with them. */
  readonly at: string
  readonly id?: string
}

/** The rows after `from` up to and including `to`. */
export interface KeyRange {
  readonly from?: Bound
  readonly to: Bound
}

/**
 * Cuts the rows of an order into ranges.
 *
 * @returns gives the range of at most `size` rows that follows another one; undefined when no row is left.
 */
const createRanges = (
  { read }: Pick<RunContext<unknown>, 'read'>,
  order: TimeOrder
): ((after: KeyRange | undefined, size: number) => Promise<KeyRange | undefined>) => {
  let found = { last: undefined as KeyRange | undefined, size: 0, bounds: [] as BoundFound[], isEnd: false }
  return async (after, size) => {
    if (found.last !== after || found.size !== size || (found.bounds.length === 0 && !found.isEnd)) {
      const find = order.isSorted ? findRows : findTimes
      const bounds = await read<BoundFound>(find(order, after?.to, size))
      found = {
        last: after,
        size,
        bounds: [...bounds],
        isEnd: bounds.length < boundsAtOnce && !bounds.at(-1)?.isTied
      }
    }
    const bound = found.bounds.shift()
    if (!bound) return undefined
    const { isTied, ...place } = bound
    const [to] = isTied ? await read<Bound>(findRow(order, after?.to, size)) : [place]
    found.last = to && { ...(after ? { from: after.to } : {}), to }
    return found.last
  }
}

/** What stands in `$2` for a range. */
const inputOf = (order: TimeOrder, range: KeyRange | undefined): Input => ({
  ...order.input,
  ...range
})

/** The condition of the rows of a range; `inputOf` gives its values. */
const isInRange = (order: TimeOrder, { from, to }: KeyRange): string =>
  [order.where, ...(from ? [isBehind(order, from, 'from')] : []), isUpTo(order, to)].join(' and ')

/** The condition of the rows behind a range, or of all; `inputOf` gives its values. */
const isLeftBehind = (order: TimeOrder, range: KeyRange | undefined): string =>
  range ? `${order.where} and ${isBehind(order, range.to, 'to')}` : order.where

/** To stand behind a condition: passes over its rows that someone holds. */
export const passOver = ({ from, join = '', key }: TimeOrder, isSkipping: boolean, rows: string): string =>
  isSkipping ? `and ${key} in (select ${key} from ${from} ${join} where ${rows} for update skip locked)` : ''

/** How the ranges of an order are worked through. */
interface RangeOptions {
  /** The condition of those among the rows that the changes are for, where they are not for all. */
  readonly isLeft?: string
  /** As a batch has it; not of rows that are passed over, which are picked by their keys. */
  readonly isPagewise?: boolean
}

/**
 * Changes the rows of an order, range by range.
 *
 * @param build makes the changes: of the condition of the rows that are due, and of that of all rows of the range, among
 *   which some may be passed over.
 */
export const workByRange = (
  context: Pick<RunContext<unknown>, 'read'>,
  order: TimeOrder,
  build: (isDue: string, isInRange: string) => readonly Change[],
  { isLeft = 'true', isPagewise = false }: RangeOptions = {}
): Work<KeyRange> => ({
  next: createRanges(context, order),
  isLeft: (range) =>
    isAny(context, {
      text: `from ${order.from} where ${isLeftBehind(order, range)} and ${isLeft}`,
      input: inputOf(order, range)
    }),
  change: (range, skipLocked) => {
    const rows = isInRange(order, range)
    return {
      changes: build(`${rows} ${passOver(order, skipLocked, rows)}`, rows),
      input: inputOf(order, range),
      isPagewise: isPagewise && !skipLocked
    }
  }
})

/** Deletes the rows of an order, range by range. */
export const deleteByRange = (
  context: Pick<RunContext<unknown>, 'read' | 'drain'>,
  order: TimeOrder
): Promise<void> =>
  context.drain(
    workByRange(
      context,
      order,
      (isDue) => [{ text: `delete from ${order.from} where ${isDue}`, counts: 'affected' }],
      { isPagewise: true }
    )
  )

/** Whether there is a row: `from … where …`. */
export const isAny = async (
  { read }: Pick<RunContext<unknown>, 'read'>,
  { text, input = {} }: Statement
): Promise<boolean> => {
  const [row] = await read<{ any: boolean }>({ text: `select exists (select ${text}) as any`, input })
  return row?.any ?? false
}

// Found at once: so the index is walked before any of its rows die, and not over their remains before each batch.
const boundsAtOnce = 50

interface BoundFound extends Bound {
  /** Rows of its time lie on both sides of the cut: their keys decide. */
  readonly isTied?: boolean
}

/**
 * The times of the rows that fill the next pages, read from the index alone, up to the first tie; where fewer rows are
 * left, the time of the last one. A page holds the row behind its cut, too: one of the same time makes the tie.
 */
const findTimes = (order: TimeOrder, from: Bound | undefined, size: number): Statement => {
  const { time } = order
  const page = (isBehindLast?: string): string => {
    const rows = `select ${time} as at from ${order.from} where ${order.where} ${isBehindLast ? `and ${isBehindLast}` : ''}`
    return `(
      select min(at) as at, count(*) = 2 and min(at) = max(at) as is_tied
      from (
        (${rows} order by ${time} offset ($2 ->> 'whole')::int limit 2)
        union all
        (${rows} order by ${time} desc limit 1)
        limit 2
      ) ends
      having count(*) > 0
    ) page`
  }
  return {
    text: `
      with recursive found (at, is_tied, number) as (
        select page.at, page.is_tied, 1
        from ${page(from && isBehind(order, from, 'from'))}
        union all
        select page.at, page.is_tied, number + 1
        from found
        cross join lateral ${page(`${time} > found.at`)}
        where not found.is_tied
        and number < ${boundsAtOnce}
      )
      select at::text, is_tied as "isTied"
      from found
      order by number`,
    input: { ...order.input, from, whole: size - 1 }
  }
}

/** The rows that fill the next pages, and the last one: of all rows in their order. */
const findRows = (order: TimeOrder, from: Bound | undefined, size: number): Statement => ({
  text: `
    select at::text, id::text
    from (
      select ${order.time}, ${order.key}, row_number() over (order by ${order.time}, ${order.key}), count(*) over ()
      from ${order.from}
      where ${order.where}
      ${from ? `and ${isBehind(order, from, 'from')}` : ''}
    ) rows (at, id, number, total)
    where number % ($2 ->> 'size')::int = 0
    or number = total
    order by number
    limit ${boundsAtOnce}`,
  input: { ...order.input, from, size }
})

/** The row that fills a page, among others of its time. */
const findRow = (order: TimeOrder, from: Bound | undefined, size: number): Statement => ({
  text: `
    select ${order.time}::text as at, ${order.key}::text as id
    from ${order.from}
    where ${order.where}
    ${from ? `and ${isBehind(order, from, 'from')}` : ''}
    order by ${order.time}, ${order.key}
    offset ($2 ->> 'whole')::int
    limit 1`,
  input: { ...order.input, from, whole: size - 1 }
})

const isBehind = ({ time, key, keyType }: TimeOrder, { id }: Bound, name: 'from' | 'to'): string =>
  id === undefined
    ? `${time} > ${timeOf(name)}`
    : `(${time}, ${key}) > (${timeOf(name)}, ${idOf(name, keyType)})`

const isUpTo = ({ time, key, keyType }: TimeOrder, { id }: Bound): string =>
  id === undefined
    ? `${time} <= ${timeOf('to')}`
    : `(${time}, ${key}) <= (${timeOf('to')}, ${idOf('to', keyType)})`

const timeOf = (name: 'from' | 'to'): string => `($2 #>> '{${name},at}')::timestamptz`

const idOf = (name: 'from' | 'to', type: TimeOrder['keyType']): string => `($2 #>> '{${name},id}')::${type}`
