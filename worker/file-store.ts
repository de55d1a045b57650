import type { FilePlace } from '../jobs/services.ts'

/** What a kind of storage does; its names are checked, and folders come without a slash at their end. */
export type FileStore = Omit<FilePlace, 'url'>
