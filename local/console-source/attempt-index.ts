import type { Attempt } from '../../emulator/scheduler/attempt.ts'

/** The last attempts, kept in memory for the console. */
export interface AttemptIndex {
  /** Reads what has happened since the last call. @returns the attempts that are new or have ended since. */
  refresh(): readonly Attempt[]
  /** Newest first. */
  list(): readonly Attempt[]
  find(id: number): Attempt | undefined
  /** The attempts whose answer came from a run. */
  ofRun(runId: string): readonly Attempt[]
}

// All jobs make 14,000 attempts a month.
const kept = 20_000
const firstLook = 100

/**
 * Keeps the last attempts in memory, so that showing a page does not read thousands of rows.
 *
 * @param readLast the last attempts of the emulator, newest first.
 */
export const createAttemptIndex = (readLast: (limit: number) => readonly Attempt[]): AttemptIndex => {
  let attempts: readonly Attempt[] = []
  let byId = new Map<number, Attempt>()
  let isFilled = false

  /** All attempts that may have changed: as far back as the oldest one that was under way. */
  const readNews = (): readonly Attempt[] => {
    if (!isFilled) return readLast(kept)
    const oldestOpen = attempts.findLast((attempt) => attempt.outcome === 'running')
    const known = oldestOpen ? oldestOpen.id - 1 : (attempts[0]?.id ?? 0)
    for (let limit = firstLook; ; limit *= 10) {
      const last = readLast(Math.min(limit, kept))
      const oldest = last.at(-1)
      if (!oldest || oldest.id <= known || last.length < limit || limit >= kept) return last
    }
  }

  return {
    refresh: () => {
      const news = readNews().filter((attempt) => byId.get(attempt.id)?.outcome !== attempt.outcome)
      isFilled = true
      if (news.length === 0) return []
      for (const attempt of news) byId.set(attempt.id, attempt)
      attempts = [...byId.values()].toSorted((a, b) => b.id - a.id).slice(0, kept)
      byId = new Map(attempts.map((attempt) => [attempt.id, attempt]))
      return news
    },
    list: () => attempts,
    find: (id) => byId.get(id),
    ofRun: (runId) => attempts.filter((attempt) => attempt.body?.includes(`"run_id":"${runId}"`))
  }
}
