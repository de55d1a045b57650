import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { benchmarks } from './catalogue.ts'
import { renderDocument } from './document.ts'
import { describeMachine } from './machine.ts'
import { plotRatios } from './plot.ts'
import { reasons } from './reasons.ts'
import { renderTable } from './report.ts'
import { runBenchmarks } from './run.ts'

interface Options {
  readonly json?: true
  readonly rounds?: number
  readonly seed: number
  readonly small?: true
  readonly write?: true
}

const fullRounds = 5
const smallRounds = 2
const docs = join(import.meta.dirname, '../../docs')

const main = async (): Promise<void> => {
  const { names, options } = parseOptions()
  const isSmall = options.small ?? false
  const rounds = options.rounds ?? (isSmall ? smallRounds : fullRounds)
  const { seed } = options
  const chosen = benchmarks.filter(({ name }) => names.length === 0 || names.includes(name))
  const { findings, postgres } = await runBenchmarks(chosen, {
    rounds,
    isSmall,
    seed,
    say: (line) => void process.stderr.write(`${line}\n`)
  })
  const machine = describeMachine(postgres, new Date())
  if (options.json) print(JSON.stringify({ machine, rounds, seed, findings }, undefined, 2))
  else print(renderTable(findings))
  if (options.write) {
    const images = join(docs, 'images')
    await mkdir(images, { recursive: true })
    await writeFile(join(images, 'benchmarks.svg'), await plotRatios(findings))
    const run = { machine, rounds, seed, reasons }
    await writeFile(join(docs, 'benchmarks.md'), renderDocument(chosen, findings, run))
  }
  if (findings.some(({ verdict }) => verdict === 'missed by far')) process.exitCode = 1
}

const parseOptions = (): { names: string[]; options: Options } => {
  const known = benchmarks.map(({ name }) => name)
  const command = new Command('bench')
    .description(
      'Measures ours beside the limit, as ratios of one run. Exits with 1 when one is over twice its goal'
    )
    .argument(
      '[names...]',
      `which: ${known.join(', ')}; all by default`,
      (name: string, before: string[] | undefined) => {
        if (known.includes(name)) return [...(before ?? []), name]
        throw new InvalidArgumentError(`must be one of ${known.join(', ')}, got '${name}'.`)
      }
    )
    .option('--json', 'print the findings with every round')
    .option(
      '--rounds <number>',
      `pairs of measurements; ${fullRounds}, or ${smallRounds} with --small`,
      parseRounds
    )
    .option('--seed <number>', 'of the rows', parseSeed, Math.floor(Math.random() * 2 ** 31))
    .option('--small', 'the form for CI: less data')
    .option('--write', 'write docs/benchmarks.md and its plot')
    .parse()
  return { names: (command.processedArgs[0] as string[] | undefined) ?? [], options: command.opts<Options>() }
}

const print = (text: string): void => void process.stdout.write(`${text}\n`)

const parseRounds = (text: string): number => {
  const rounds = Number(text)
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= 99) return rounds
  throw new InvalidArgumentError(`must be a whole number from 1 to 99, got '${text}'.`)
}

const parseSeed = (text: string): number => {
  const seed = Number(text)
  if (text !== '' && Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31) return seed
  throw new InvalidArgumentError(`must be a whole number from 0 to ${2 ** 31 - 1}, got '${text}'.`)
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
