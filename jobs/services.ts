/** The services outside the database that jobs may need. */
export interface OutsideServices {
  /** Undefined if it is not known where the application keeps its files; then no purge runs. */
  readonly files: StoredFiles | undefined
  /** Undefined if Cloud Run is not to be asked. */
  readonly executions: Executions | undefined
}

/** A place for stored files: a bucket, a prefix in it, or a local folder. File names are relative to it. */
export interface FilePlace {
  readonly url: string
  /**
   * Proves that this is the right place: it answers, it is the one that was asked for, and it holds at least one file under
   * a folder. Only then does "not found" mean that a file is gone.
   *
   * @param folder the first folder of the names in the rows, `submissions`; empty for the whole place.
   * @throws Error with a sentence for people: which place, what was seen, what to do.
   */
  prove(folder: string, signal: AbortSignal): Promise<void>
  /**
   * Deletes a file.
   *
   * @returns whether it was there. Any answer that says neither rejects.
   */
  delete(name: string, signal: AbortSignal): Promise<boolean>
  /**
   * Deletes every file under a folder. One that disappears meanwhile is fine.
   *
   * @returns how many it deleted.
   */
  deleteFolder(prefix: string, signal: AbortSignal): Promise<number>
}

/** The stored files of the application. A file may be in any place of its kind. */
export interface StoredFiles {
  readonly uploads: readonly FilePlace[]
  readonly bundles: readonly FilePlace[]
}

/** The executions of validators on Cloud Run. */
export interface Executions {
  /**
   * What became of an execution, by its name: `projects/P/locations/L/jobs/J/executions/E`. With `unknown` comes the reason.
   *
   * @throws the signal's reason when it aborts.
   */
  readonly find: (
    name: string,
    signal: AbortSignal
  ) => Promise<{ readonly state: 'executing' | 'finished' | 'unknown'; readonly reason?: string }>
}
