import { declareOn, openEngine, whyNoEngine } from '../infra/engine.ts'
import { inTurns, time, type Benchmark } from './benchmark.ts'
import type { Round } from './measurement.ts'

/** A preview of a stage on the real engine, with the suite's own provider: the cost of the program itself. */
export const previewBenchmark: Benchmark = {
  name: 'preview',
  title: 'pulumi preview of a stage, beside the preview of an empty program',
  run: async (bench) => {
    const reason = whyNoEngine()
    if (reason !== undefined) {
      bench.say(`left out: ${reason}`)
      return []
    }
    const engine = await openEngine()
    const rounds: Round[] = []
    try {
      const declaration = declareOn('staging')
      const stage = await engine.openStage('staging')
      const previewStage = async () => {
        const { failed, messages } = await stage.preview(declaration)
        if (failed) throw new Error(`the preview must succeed, got: ${messages}`)
      }
      const previewNothing = () => stage.stack.preview({ program: async () => {} })
      await previewNothing()
      for (let round = 0; round < bench.rounds; round += 1) {
        const [[value], [reference]] = await inTurns(
          round,
          () => time(previewStage),
          () => time(previewNothing)
        )
        bench.say(`round ${round + 1}: ${value.toFixed(0)} ms beside ${reference.toFixed(0)} ms`)
        rounds.push({ value, reference })
      }
    } finally {
      await engine.close()
    }
    return [{ what: 'preview of a new staging', unit: 'ms', reference: 'an empty program', rounds }]
  }
}
