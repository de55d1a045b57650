import type { Changes, Store } from './store.ts'

/** Writes to the store: at once, or with others of the same moment in one transaction. */
export interface GroupCommit {
  /** Writes now, after what waits and together with it. */
  write(changes: Changes): void
  /** Writes at the end of this turn of the event loop; fulfilled when it is done. */
  writeSoon(changes: Changes): Promise<void>
}

/**
 * One transaction for all answers that a turn of the event loop brings: when thousands of jobs are due in one minute,
 * each would pay for its own. Whoever waits for the promise tells of nothing that a crash could still take back.
 */
export const createGroupCommit = (store: Pick<Store, 'write'>): GroupCommit => {
  let group: { readonly changes: Changes[]; readonly written: PromiseWithResolvers<void> } | undefined

  const commit = (...last: Changes[]): void => {
    const { changes = [], written } = group ?? {}
    group = undefined
    try {
      store.write(...changes, ...last)
      written?.resolve()
    } catch (error) {
      written?.reject(error)
      throw error
    }
  }
  const commitGroup = (): void => {
    if (!group) return
    try {
      commit()
    } catch {
      // Each that waits has got the error.
    }
  }

  return {
    write: (changes) => commit(changes),
    writeSoon: (changes) => {
      if (!group) {
        group = { changes: [], written: Promise.withResolvers() }
        setImmediate(commitGroup)
      }
      group.changes.push(changes)
      return group.written.promise
    }
  }
}
