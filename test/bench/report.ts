import Table from 'cli-table3'
import type { Finding, Goal } from './measurement.ts'

/** The column titles of a finding, the same on the terminal and in the document. */
export const columns = ['what', 'ours', 'beside', 'ratio', 'goal', 'verdict', ''] as const

/** A finding as the texts of its columns. */
export const describeFinding = (finding: Finding): string[] => [
  finding.what,
  format(finding.value, finding.unit),
  finding.referenceValue === undefined
    ? ''
    : `${format(finding.referenceValue, finding.unit)} ${finding.reference ?? ''}`.trim(),
  finding.reference === undefined ? '' : describeRatio(finding),
  finding.goal ? describeGoal(finding.goal, finding) : '',
  finding.verdict === 'no goal' ? '' : finding.verdict,
  finding.remark ?? ''
]

/** The terminal's table, one line per finding. */
export const renderTable = (findings: readonly Finding[]): string => {
  const table = new Table({ head: [...columns], style: { head: [], border: [] } })
  for (const finding of findings) table.push(describeFinding(finding))
  const judged = findings.filter((finding) => finding.goal)
  const met = judged.filter((finding) => finding.verdict === 'met').length
  return `${table.toString()}\n${met} of ${judged.length} goals met\n`
}

/** The median, minimum and maximum of the rounds' ratios. */
const describeRatio = ({ rounds, score }: Finding): string => {
  const ratios = rounds.map(({ value, reference }) => value / (reference ?? Number.NaN))
  const range = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`
  return `${score.toFixed(2)} ×${ratios.length > 1 ? ` (${range})` : ''}`
}

const describeGoal = (goal: Goal, { reference, unit }: Finding): string => {
  const show = (value: number) => (reference === undefined ? format(value, unit) : `${value} ×`)
  return 'atMost' in goal ? `≤ ${show(goal.atMost)}` : `≥ ${show(goal.atLeast)}`
}

const format = (value: number, unit: string): string => {
  if (unit === '×') return `${value.toFixed(2)} ×`
  return `${value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1)} ${unit}`
}
