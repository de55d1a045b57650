import { BaseSequencer, type TestSpecification } from 'vitest/node'

// A long file that starts late finishes alone while the other cores idle. These run for ten seconds or more, or wait
// for time-outs; in a fresh clone, vitest would order them by file size.
const longest = [
  'infra/engine',
  'console/console',
  'worker/faults',
  'worker/cloud-storage',
  'cli/delete-all',
  'local/start',
  'local/data',
  'emulator/scheduler/scheduler',
  'emulator/scheduler/gcloud',
  'emulator/package',
  'console/conformance',
  'worker/random-requests',
  'jobs/model',
  'local/refusal',
  'worker/pgbouncer',
  'worker/database/server-faults',
  'worker/time-limits',
  'worker/storage-faults',
  'worker/overdue'
]

/** Starts with the slowest files; the others follow in vitest's own order. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- vitest's sequencer is no array.
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => rankOf(a) - rankOf(b))
  }
}

const rankOf = ({ moduleId }: TestSpecification): number => {
  const rank = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
  return rank === -1 ? longest.length : rank
}
