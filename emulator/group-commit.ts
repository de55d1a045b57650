import type { Changes, Store } from './store.ts'

/** Writes to the store: at once, or with others of the same moment in one transaction. */
export interface GroupCommit {
  /** Writes now, together with what is waiting and after it. */
  write(changes: Changes): void
  /** Writes at the end of this turn of the event loop; fulfilled when it is done. */
  writeSoon(changes: Changes): Promise<void>
}

/**
 * One transaction for all answers of a turn of the event loop: when thousands of jobs are due in one minute, a
 * transaction for each would be slow. Code that awaits the promise reports nothing that a crash could still undo.
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
      // Everyone who waits has got the error.
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
