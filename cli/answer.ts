import Table from 'cli-table3'

/** The result of a command, to be printed as JSON, for people, or for other programs. */
export interface Answer {
  /** What `--json` prints. */
  readonly json: unknown
  readonly blocks: readonly (string | Rows)[]
  /** Further notes for people; they go to stderr, to stay out of pipes. */
  readonly notes?: readonly string[]
  /** Whether the exit code is 1. */
  readonly failed?: boolean
}

/** A table: the names of its columns, and rows with a text for each. */
export interface Rows {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** An answer as text: tables for people; for other programs one line per row, with tabs between the cells. */
export const formatAnswer = ({ blocks }: Answer, isForPeople: boolean): string =>
  blocks
    .map((block) =>
      typeof block === 'string' ? block : isForPeople ? formatTable(block) : formatLines(block)
    )
    .filter((text) => text !== '')
    .map((text) => `${text}\n`)
    .join(isForPeople ? '\n' : '')

const formatTable = ({ columns, rows }: Rows): string => {
  if (rows.length === 0) return ''
  const table = new Table({
    head: [...columns],
    chars: lines,
    style: { head: ['bold'], border: [], compact: true }
  })
  table.push(...rows.map((row) => [...row]))
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

// No lines between the columns, so that text copied from a terminal is plain.
const lines = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' '
}

const formatLines = ({ columns, rows }: Rows): string =>
  [columns, ...rows].map((row) => row.map((text) => text.replaceAll(/[\t\r\n]+/g, ' ')).join('\t')).join('\n')
