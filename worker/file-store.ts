import type { FilePlace } from '../jobs/services.ts'

/** What each kind of storage implements. Names have been checked, and folders have no trailing slash. */
export type FileStore = Omit<FilePlace, 'url'>
