import type { Benchmark } from './benchmark.ts'
import type { Machine } from './machine.ts'
import type { Finding } from './measurement.ts'
import { columns, describeFinding } from './report.ts'

/** Describes a run, apart from its findings. */
export interface Run {
  readonly machine: Machine
  readonly rounds: number
  readonly seed: number
  /** Why goals stay missed, by `benchmark: finding` or by benchmark. */
  readonly reasons: Readonly<Record<string, string>>
}

/** Renders docs/benchmarks.md from a run. */
export const renderDocument = (
  benchmarks: readonly Pick<Benchmark, 'name' | 'title'>[],
  findings: readonly Finding[],
  { machine, rounds, seed, reasons }: Run
): string => {
  const missed = findings.filter(({ verdict }) => verdict.startsWith('missed'))
  return `# Benchmarks

Written by \`npm run bench -- --write\`; one benchmark alone: \`npm run bench -- jobs\`. Machines are noisy, so what counts
is the ratio of two measurements taken one after the other in the same run: ours, and the limit or the bare thing beside
it. Which goes first changes from round to round. Medians of ${rounds} rounds, each with rows of its own seed (${seed} and up); behind a ratio
the least and the greatest of the rounds.

| | |
|---|---|
| Processor | ${machine.cpu}, ${machine.cores} cores |
| Memory | ${machine.memoryGb} GB |
| System | ${machine.system} |
| Node.js | ${machine.node} |
| Database | ${machine.postgres}, embedded, commits flushed, no autovacuum during a round |
| Measured | ${machine.date}, commit ${machine.commit} |

![Ratios and goals](images/benchmarks.svg)

${benchmarks
  .map(({ name, title }) => renderSection(name, title, findings))
  .filter((section) => section !== '')
  .join('\n\n')}

## What is missed, and why

${missed.length === 0 ? 'Nothing.' : renderMissed(missed, reasons)}

## How it is measured

- The worker is its bundle (\`npm run build\`) in a process of its own, called over HTTP without the emulator, after ten runs
  of one row each: its first answer is what *cold-start* is about.
- The reference of a job is the one SQL statement that does the same to a copy of the same database, over a connection
  that has planned it once. All pages are in memory for both, and a checkpoint has just ended. The rows of a round serve
  three pairs, nine if they have no files, since a slow write of the disk or a slow phase of the machine decides a pair.
- Rows lie in the order of their times with a day's disorder, as an application leaves them.
- Of the submissions a third has its content inline, a third an upload, a third a run with a bundle; each purge retry has one of
  the latter two. No statement deletes files, so the reference has the same files deleted by the same storage first, as many
  submissions at a time as the worker has under way.
- *growth* is how many times as long a job takes among ten times as many live rows; its reference is that of the one statement.
- *harm* sends a small read, update or insert every 2 ms; a statement's time counts from when it was due. The deletes have
  three times the rows there, so that enough statements of the load meet them, and the rows of a round serve three pairs.
  What works (the worker and its connections, or the one statement's) has a core of its own, the load and its
  connections have another; the rest of PostgreSQL may use both. On shared cores the load would wait for the processor
  while the worker and its connections take turns on it, which in production no worker takes from a database.
- Verdicts: *missed by far* is over twice the goal, the one thing that \`--small\`, the form for CI, fails for.
`
}

/** One line per reason, with the findings it explains. */
const renderMissed = (missed: readonly Finding[], reasons: Run['reasons']): string => {
  const explained = Map.groupBy(
    missed,
    ({ benchmark, what }) => reasons[`${benchmark}: ${what}`] ?? reasons[benchmark] ?? 'not explained yet.'
  )
  return [...explained]
    .map(([reason, findings]) => {
      const names = findings.map(({ benchmark, what }) => `${benchmark}: ${what}`)
      return `- **${names.join('; ')}**: ${reason}`
    })
    .join('\n')
}

const renderSection = (name: string, title: string, findings: readonly Finding[]): string => {
  const own = findings.filter(({ benchmark }) => benchmark === name)
  if (own.length === 0) return ''
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    `## ${name}`,
    '',
    `${title}.`,
    '',
    line(columns),
    line(columns.map(() => '---')),
    ...own.map((finding) => line(describeFinding(finding)))
  ].join('\n')
}
