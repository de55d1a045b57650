import type { Benchmark } from './benchmark.ts'
import { coldStartBenchmark } from './cold-start.ts'
import { emulatorLagBenchmark } from './emulator-lag.ts'
import { firstCallBenchmark } from './first-call.ts'
import { growthBenchmark } from './growth.ts'
import { harmBenchmark } from './harm.ts'
import { jobsBenchmark } from './jobs.ts'
import { memoryBenchmark } from './memory.ts'
import { plansBenchmark } from './plans.ts'
import { previewBenchmark } from './preview.ts'
import { storedFilesBenchmark } from './stored-files.ts'

/** Every benchmark, in the order of the report. */
export const benchmarks: readonly Benchmark[] = [
  jobsBenchmark,
  growthBenchmark,
  harmBenchmark,
  plansBenchmark,
  storedFilesBenchmark,
  memoryBenchmark,
  coldStartBenchmark,
  emulatorLagBenchmark,
  firstCallBenchmark,
  previewBenchmark
]
