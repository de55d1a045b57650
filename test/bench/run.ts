import type { Bench, Benchmark } from './benchmark.ts'
import { startBenchServer, type BenchServer } from './bench-server.ts'
import { judge, type Finding } from './measurement.ts'

/** Runs benchmarks one after another on one PostgreSQL, which stops at the end. */
export const runBenchmarks = async (
  benchmarks: readonly Benchmark[],
  options: Omit<Bench, 'openServer'>
): Promise<{ findings: Finding[]; postgres: string | undefined }> => {
  let server: Promise<BenchServer> | undefined
  const bench: Bench = { ...options, openServer: () => (server ??= startBenchServer()) }
  try {
    const findings: Finding[] = []
    for (const { name, title, run } of benchmarks) {
      bench.say(`${name}: ${title}`)
      for (const measurement of await run(bench)) findings.push(judge(name, measurement))
    }
    return { findings, postgres: (await server)?.version }
  } finally {
    await (await server)?.stop()
  }
}
