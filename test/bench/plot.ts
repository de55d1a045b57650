import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import type { Finding } from './measurement.ts'

/** Draws the ratios of a run beside their goals, as SVG. Findings without a reference have no ratio. */
export const plotRatios = (findings: readonly Finding[]): Promise<string> => {
  const values = findings
    .filter((finding) => finding.reference !== undefined)
    .map(({ benchmark, what, score, goal }) => ({
      what: `${benchmark}: ${what}`,
      ratio: score,
      goal: goal && 'atMost' in goal ? goal.atMost : undefined
    }))
  const y = { field: 'what', type: 'nominal', sort: null, title: null, axis: { labelLimit: 400 } } as const
  const specification: TopLevelSpec = {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    width: 480,
    height: { step: 20 },
    background: 'white',
    data: { values },
    layer: [
      {
        mark: { type: 'bar', color: '#9ecae1' },
        encoding: {
          x: { field: 'ratio', type: 'quantitative', title: 'times the reference measured beside it' },
          y
        }
      },
      {
        mark: { type: 'tick', color: '#d62728', thickness: 3, size: 16 },
        encoding: { x: { field: 'goal', type: 'quantitative' }, y }
      }
    ]
  }
  const { spec } = compile(specification)
  return new View(parse(spec), { renderer: 'none' }).toSVG()
}
