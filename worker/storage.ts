import type { ObjectStorage } from '../jobs/define-job.ts'
import type { StoredFiles } from './stored-files.ts'

/** The stored files as the purge jobs ask for them: each is deleted in every place of its kind. */
export const openStorage = (files: StoredFiles | undefined): ObjectStorage => {
  const { uploads, bundles } = files ?? { uploads: undefined, bundles: undefined }
  const refuse = () => {
    throw new Error("UPLOADS_URL and BUNDLES_URL are 'unknown': say where the stored files are")
  }
  return {
    delete: async (name, signal) => {
      await Promise.all((uploads ?? refuse()).map((place) => place.delete(name, signal)))
    },
    deletePrefix: async (prefix, signal) => {
      await Promise.all((bundles ?? refuse()).map((place) => place.deleteFolder(prefix, signal)))
    }
  }
}
