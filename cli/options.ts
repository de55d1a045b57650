import { InvalidArgumentError, Option } from 'commander'
import { stageNames } from './stage.ts'
import { suggest } from './suggestion.ts'

/** The options of every command. */
export interface CommonOptions {
  readonly stage?: string
  readonly url: string
  readonly json?: boolean
}

export const stageOption = (what = 'the stage'): Option =>
  new Option('--stage <stage>', `${what}: ${stageNames.join(', ')}`).argParser(parseStage)

export const urlOption = (): Option =>
  new Option('--url <url>', 'where the local system is').argParser(parseUrl).default('http://127.0.0.1:8085')

export const jsonOption = (): Option => new Option('--json', 'print JSON')

/** Parses the name of a stage; the error lists the known names. */
export const parseStage = (text: string): string => {
  if (stageNames.includes(text)) return text
  const suggestion = suggest(text, stageNames) || '.'
  throw new InvalidArgumentError(`It must be one of ${stageNames.join(', ')}, got '${text}'${suggestion}`)
}

const parseUrl = (text: string): string => {
  if (/^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?\/?$/.test(text)) return text.replace(/\/$/, '')
  throw new InvalidArgumentError(
    `It must be an address on this machine such as http://127.0.0.1:8085, got '${text}'.`
  )
}

/** A whole number within bounds. */
export const parseWhole =
  (min: number, max: number) =>
  (text: string): number => {
    const number = Number(text)
    if (/^\d+$/.test(text) && number >= min && number <= max) return number
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}, got '${text}'.`)
  }

/** `2026-10-03` (its first instant in UTC) or an instant with its zone. */
export const parseInstant = (text: string): Date => {
  const instant = new Date(text)
  const isWhole = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  if (isWhole && !Number.isNaN(instant.getTime())) return instant
  throw new InvalidArgumentError(
    `It must be a day or an instant such as 2026-10-03T15:00:00Z, got '${text}'.`
  )
}

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses a time span before now, or an instant; the result depends on now. */
export const parseSince = (text: string): ((now: Date) => Date) => {
  const [, amount, unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? []
  const milliseconds = units[unit]
  if (amount !== undefined && milliseconds !== undefined) {
    return (now) => new Date(now.getTime() - Number(amount) * milliseconds)
  }
  if (/^\d{4}-/.test(text)) {
    const instant = parseInstant(text)
    return () => instant
  }
  throw new InvalidArgumentError(`It must be 90m, 6h, 7d, a day or an instant, got '${text}'.`)
}

/** `days=60` → {days: 60}, added to the earlier ones. */
export const parseParameter = (
  text: string,
  before: Readonly<Record<string, unknown>> = {}
): Record<string, unknown> => {
  const [, name, value = ''] = /^([a-z_]+)=(.+)$/s.exec(text) ?? []
  if (name === undefined)
    throw new InvalidArgumentError(`It must be NAME=VALUE such as days=60, got '${text}'.`)
  return { ...before, [name]: readValue(value) }
}

const readValue = (text: string): unknown => {
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
}
