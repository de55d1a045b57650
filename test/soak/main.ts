import { Command, InvalidArgumentError } from 'commander'
import { renderReport } from './report.ts'
import { soak } from './soak.ts'

interface Options {
  readonly seed: number
  readonly days?: number
  readonly start?: Date
  readonly small?: true
}

// Both hold the night of 4 October in Sydney, when the clocks go from 02:00 to 03:00, and a Sunday at 04:00.
const month = { start: new Date('2026-09-20T00:00:00Z'), days: 30 }
const small = { start: new Date('2026-10-03T03:00:00Z'), days: 1 }
const maxSeed = 2 ** 31

/** @returns the exit code. */
const main = async (): Promise<number> => {
  const options = parseOptions()
  const preset = options.small ? small : month
  const result = await soak({
    seed: options.seed,
    start: options.start ?? preset.start,
    days: options.days ?? preset.days,
    say: (line) => void process.stderr.write(`${line}\n`)
  })
  process.stdout.write(renderReport(result))
  return result.checks.some((check) => check.faults.length > 0) ? 1 : 0
}

const parseOptions = (): Options =>
  new Command('soak')
    .description('A virtual month of a stage in which everything fails that can, and a check of what is left')
    .option(
      '--seed <number>',
      'plans the same faults and rows again',
      parseSeed,
      Math.floor(Math.random() * maxSeed)
    )
    .option('--days <number>', `virtual days; ${month.days} by default`, parseDays)
    .option('--start <instant>', 'where virtual time begins, on a multiple of five minutes', parseStart)
    .option('--small', 'the form for CI: a virtual day with every kind of fault')
    .parse()
    .opts<Options>()

const parseSeed = (text: string): number => {
  const seed = Number(text)
  if (text !== '' && Number.isInteger(seed) && seed >= 0 && seed < maxSeed) return seed
  throw new InvalidArgumentError(`must be a whole number from 0 to ${maxSeed - 1}, got '${text}'.`)
}

const parseDays = (text: string): number => {
  const days = Number(text)
  if (text !== '' && days >= 1 && days <= 366 && Number.isInteger(days)) return days
  throw new InvalidArgumentError(`must be a whole number from 1 to 366, got '${text}'.`)
}

const parseStart = (text: string): Date => {
  const start = new Date(text)
  if (start.getTime() % 300_000 === 0) return start
  throw new InvalidArgumentError(`must be a time such as 2026-09-20T00:00:00Z, got '${text}'.`)
}

// Exits even if something still waits: the children end with it.
try {
  process.exit(await main())
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
