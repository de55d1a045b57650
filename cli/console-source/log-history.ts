import pLimit from 'p-limit'
import { codes, GoogleError } from '../google-error.ts'
import type { HistoryLine, HistorySide, RunLog } from '../run-log.ts'
import type { Clock } from '../surroundings.ts'

/** Lines of a stage's log, kept in memory: fetched once, page by page, and topped up. */
export interface LogHistory {
  /** All kept lines, in no order; the same array until there are more. */
  lines(): readonly HistoryLine[]
  /**
   * Reads back until the kept lines begin at an instant or before it, as far as Cloud Logging keeps lines. The lines
   * read before a failure are kept; the next call continues from there.
   */
  reachBack(from: Date): Promise<void>
  /** Reads the lines that have come since the last time. */
  topUp(): Promise<void>
  state(): HistoryState
}

export interface HistoryState {
  /** Since when the history is complete; undefined while nothing has been read. */
  readonly from?: Date
  /** When it was read last. */
  readonly asOf?: Date
  readonly trouble?: Trouble
}

/** Why Google refuses; cleared by its first successful answer. */
export interface Trouble {
  /** A sentence without its capital letter and full stop. */
  readonly message: string
  /** No request is made before this time. */
  readonly retryAt: Date
}

const day = 86_400_000
/** How long Cloud Logging keeps lines, unless a project pays for longer. */
const keptDays = 30
// Lines may reach Cloud Logging out of order, some seconds after the events that they report.
const lateMs = 2 * 60_000
// The clock of this machine may be slow.
const aheadMs = 10 * 60_000

interface Side {
  readonly name: HistorySide
  /** Since when all of its lines are kept here. */
  from?: Date
  /** The time of the newest line when the log was last read to its end. */
  newest?: Date
}

export const createLogHistory = (log: Pick<RunLog, 'pageHistory'>, clock: Pick<Clock, 'now'>): LogHistory => {
  const sides: readonly Side[] = [{ name: 'scheduler' }, { name: 'worker' }]
  const known = new Map<string, HistoryLine>()
  let lines: readonly HistoryLine[] = []
  let asOf: Date | undefined
  const watch = createTroubleWatch(clock)
  // Calls run one at a time, so that the second finds the lines that the first has read.
  const oneByOne = pLimit(1)

  const keep = (some: readonly HistoryLine[]): void => {
    const before = known.size
    for (const line of some) {
      const key = `${line.kind === 'worker' ? 'worker' : 'scheduler'} ${line.key}`
      if (!known.has(key)) known.set(key, line)
    }
    if (known.size > before) lines = [...known.values()]
  }

  const readBack = async (side: Side, from: Date): Promise<void> => {
    const now = clock.now()
    const until = side.from ?? new Date(now.getTime() + aheadMs)
    let newest = side.newest
    for await (const some of log.pageHistory(side.name, from, until)) {
      keep(some)
      newest ??= some[0]?.at
      side.newest = newest ?? side.newest ?? now
      side.from = some.at(-1)?.at ?? side.from ?? now
    }
    side.newest = newest ?? now
    side.from = from
  }

  const readNews = async (side: Side & { readonly newest: Date }): Promise<void> => {
    const since = new Date(side.newest.getTime() - lateMs)
    let newest: Date | undefined
    for await (const some of log.pageHistory(side.name, since, new Date(clock.now().getTime() + aheadMs))) {
      keep(some)
      newest ??= some[0]?.at
    }
    // Only after the last page: pages come newest first, and a failure before that leaves a gap to read again.
    if (newest && newest > side.newest) side.newest = newest
  }

  return {
    lines: () => lines,
    reachBack: (wanted) =>
      oneByOne(async () => {
        const oldest = clock.now().getTime() - keptDays * day
        const from = new Date(Math.max(wanted.getTime(), oldest))
        if (sides.every((side) => side.from && side.from <= from)) return
        const isFirst = asOf === undefined
        await watch.ask(async () => {
          for (const side of sides) if (!side.from || side.from > from) await readBack(side, from)
          if (isFirst) asOf = clock.now()
        })
      }),
    topUp: () =>
      oneByOne(() =>
        watch.ask(async () => {
          const now = clock.now()
          for (const side of sides) if (hasBegun(side)) await readNews(side)
          if (sides.every(hasBegun)) asOf = now
        })
      ),
    state: () => {
      const [first, second] = sides.map(({ from }) => from)
      const trouble = watch.trouble()
      return {
        ...(first && second ? { from: first > second ? first : second } : {}),
        ...(asOf ? { asOf } : {}),
        ...(trouble ? { trouble } : {})
      }
    }
  }
}

const hasBegun = (side: Side): side is Side & { readonly newest: Date } => side.newest !== undefined

/** Remembers that Google refuses, and makes no request until an answer is likely again. */
export interface TroubleWatch {
  /** @throws GoogleError of this question, or of the last one if it is too early to ask again. */
  ask<Value>(question: () => Promise<Value>): Promise<Value>
  trouble(): Trouble | undefined
}

const minute = 60_000
const firstWait = 10_000
const longestWait = 5 * minute

export const createTroubleWatch = (clock: Pick<Clock, 'now'>): TroubleWatch => {
  let last: { readonly error: GoogleError; readonly retryAt: Date } | undefined
  let wait = firstWait
  return {
    ask: async (question) => {
      if (last && clock.now() < last.retryAt) throw last.error
      try {
        const answer = await question()
        last = undefined
        wait = firstWait
        return answer
      } catch (error) {
        if (!(error instanceof GoogleError)) throw error
        // A quota is renewed after a minute, and a new permission takes as long; a server may be back at once.
        const isPassing = error.code === codes.unavailable || error.code === codes.deadlineExceeded
        last = { error, retryAt: new Date(clock.now().getTime() + (isPassing ? wait : minute)) }
        if (isPassing) wait = Math.min(wait * 2, longestWait)
        throw error
      }
    },
    trouble: () => last && { message: last.error.message, retryAt: last.retryAt }
  }
}
