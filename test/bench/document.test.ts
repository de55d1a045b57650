import { describe, expect, it } from 'vitest'
import { renderDocument } from './document.ts'
import { judge } from './measurement.ts'
import { plotRatios } from './plot.ts'
import { renderTable } from './report.ts'

const findings = [
  judge('jobs', {
    what: 'clear-sessions',
    unit: 'ms',
    reference: 'one statement',
    rounds: [{ value: 125, reference: 100 }],
    goal: { atMost: 1.25 },
    remark: '100,000 due'
  }),
  judge('memory', { what: 'worker, idle', unit: 'MB', rounds: [{ value: 87.14 }], goal: { atMost: 80 } })
]
const machine = {
  cpu: 'Test CPU',
  cores: 2,
  memoryGb: 8,
  system: 'linux 6',
  node: 'v24.0.0',
  postgres: 'PostgreSQL 18.4',
  date: '2026-11-24',
  commit: 'abc1234'
}
const benchmarks = [
  { name: 'jobs', title: 'Jobs' },
  { name: 'memory', title: 'Memory' },
  { name: 'preview', title: 'Preview' }
]
const render = (reasons = {}) =>
  renderDocument(benchmarks, findings, { machine, rounds: 5, seed: 1, reasons })

describe('the table of a run', () => {
  it('shows the ratio, its goal and the verdict, and how many goals are met', () => {
    const table = renderTable(findings)
    expect(table).toMatch(/clear-sessions .* 125 ms .* 100 ms one statement .* 1\.25 × .* ≤ 1\.25 × .* met/)
    expect(table).toMatch(/worker, idle .* 87\.1 MB .* ≤ 80\.0 MB .* missed/)
    expect(table).toContain('1 of 2 goals met')
  })

  it('shows how far the rounds lie apart', () => {
    const rounds = [2, 1, 1.5].map((value) => ({ value, reference: 2 }))
    const finding = judge('harm', { what: 'clear-sessions', unit: 'ms', reference: 'one statement', rounds })
    expect(renderTable([finding])).toContain('0.75 × (0.50–1.00)')
  })
})

describe('docs/benchmarks.md', () => {
  it('names the machine, and leaves out benchmarks that did not run', () => {
    expect(render()).toContain('Test CPU, 2 cores')
    expect(render()).toContain('## memory')
    expect(render()).not.toContain('## preview')
  })

  it('gives the reason of each goal that is missed, and says so where there is none', () => {
    expect(render({ memory: 'because.' })).toContain('**memory: worker, idle**: because.')
    expect(render()).toContain('**memory: worker, idle**: not explained yet.')
    expect(render()).not.toContain('**jobs: clear-sessions**')
  })

  it('gives a reason once for all that it explains', () => {
    const missed = ['worker, idle', 'worker, peak'].map((what) =>
      judge('memory', { what, unit: 'MB', rounds: [{ value: 90 }], goal: { atMost: 80 } })
    )
    const document = renderDocument(benchmarks, missed, {
      machine,
      rounds: 5,
      seed: 1,
      reasons: { memory: 'because.' }
    })
    expect(document).toContain('- **memory: worker, idle; memory: worker, peak**: because.')
  })
})

describe('the plot', () => {
  it('draws the ratios and leaves out what has none', async () => {
    const svg = await plotRatios(findings)
    expect(svg).toMatch(/^<svg /)
    expect(svg).toContain('jobs: clear-sessions')
    expect(svg).not.toContain('worker, idle')
  })
})
