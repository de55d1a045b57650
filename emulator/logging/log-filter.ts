import { invalidArgument } from '../google-api/api-error.ts'
import { type LogEntry, severities } from './log-entry.ts'

/** Whether an entry matches. */
export interface LogFilter {
  (entry: LogEntry): boolean
  /** The resource types, in lower case, that a matching entry can have; absent when unknown. */
  readonly resourceTypes?: readonly string[]
}

/**
 * Compiles a filter of Cloud Logging's query language (https://cloud.google.com/logging/docs/view/logging-query-language).
 *
 * Comparisons `FIELD OP VALUE` with `=`, `!=`, `<`, `<=`, `>`, `>=` and `:` (has; `FIELD:*` is set), values in quotes or
 * bare, several in brackets (`severity=(ERROR OR INFO)`), joined by AND (or nothing), OR, NOT (or `-`) and brackets. As in
 * Cloud Logging, OR binds more tightly than AND, and text is compared without regard to case.
 *
 * @throws ApiError 400 that says where the filter can't be parsed.
 */
export const compileLogFilter = (filter: string): LogFilter => {
  if (filter.length > maxLength) {
    throw invalidArgument(`filter must be at most ${maxLength} characters, got ${filter.length}`)
  }
  const tokens = tokenize(filter)
  let position = 0
  let depth = 0
  let comparisonsLeft = maxComparisons
  const peek = (): Token | undefined => tokens[position]
  const fail = (wanted: string): never => {
    const token = peek()
    const found = token ? `'${token.text}' at ${token.at}` : 'its end'
    throw invalidArgument(`Unparseable filter: there must be ${wanted}, got ${found} in '${shorten(filter)}'`)
  }
  const goDeeper = <Value>(read: () => Value): Value => {
    depth += 1
    if (depth > maxDepth) {
      throw invalidArgument(`Unparseable filter: brackets and NOTs must be at most ${maxDepth} deep`)
    }
    const value = read()
    depth -= 1
    return value
  }
  const take = (text: string): boolean => {
    const token = peek()
    if (!token || token.isQuoted || token.text !== text) return false
    position += 1
    return true
  }
  const takeWord = (wanted: string): string => {
    const token = peek()
    if (!token || (!token.isQuoted && symbols.includes(token.text))) return fail(wanted)
    position += 1
    return token.text
  }

  const readAll = (): LogFilter => {
    const conditions = [readAny()]
    while (peek() && !(peek()?.text === ')' && !peek()?.isQuoted)) {
      take('AND')
      conditions.push(readAny())
    }
    const { resourceTypes } = conditions.find((condition) => condition.resourceTypes) ?? {}
    const holds: LogFilter = (entry) => conditions.every((condition) => condition(entry))
    return resourceTypes ? Object.assign(holds, { resourceTypes }) : holds
  }
  const readAny = (): LogFilter => {
    const first = readNot()
    const conditions = [first]
    while (take('OR')) conditions.push(readNot())
    if (conditions.length === 1) return first
    return (entry) => conditions.some((condition) => condition(entry))
  }
  const readNot = (): LogFilter => {
    if (take('NOT') || take('-')) {
      const condition = goDeeper(readNot)
      return (entry) => !condition(entry)
    }
    if (!take('(')) return readComparison()
    const condition = goDeeper(readAll)
    if (!take(')')) fail("a ')'")
    return condition
  }
  const readComparison = (): LogFilter => {
    const field = takeWord("the name of a field or a '('")
    const operator = operators.find((one) => take(one)) ?? fail(`one of ${operators.join(' ')}`)
    const names = parseField(field)
    const values = readValues()
    const comparisons = values.map((value) => compileComparison(operator, value))
    const holds: LogFilter = (entry) => {
      const actual = findField(entry, names)
      return comparisons.some((one) => one(actual))
    }
    const isType = operator === '=' && names.join('.') === 'resource.type'
    return isType ? Object.assign(holds, { resourceTypes: values.map((one) => one.toLowerCase()) }) : holds
  }
  const readValue = (): string => {
    comparisonsLeft -= 1
    if (comparisonsLeft < 0) {
      throw invalidArgument(`Unparseable filter: it must hold at most ${maxComparisons} comparisons`)
    }
    return takeWord('a value')
  }
  const readValues = (): string[] => {
    if (!take('(')) return [readValue()]
    const values = [readValue()]
    while (take('OR')) values.push(readValue())
    if (!take(')')) fail("an OR or a ')'")
    return values
  }

  if (tokens.length === 0) return () => true
  const condition = readAll()
  if (peek()) fail('an AND or the end')
  return condition
}

// https://cloud.google.com/logging/quotas: "Length of a Logging query language expression: 20,000 characters". The
// other two limits are ours: each level is a recursive call, and each comparison runs on every entry.
const maxLength = 20_000
const maxDepth = 100
const maxComparisons = 500

const shorten = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text)

interface Token {
  readonly text: string
  readonly isQuoted: boolean
  readonly at: number
}

const operators = ['!=', '>=', '<=', '=', '>', '<', ':'] as const
const symbols: readonly string[] = [...operators, '(', ')']

// In a name, quotes enclose a part with other characters: jsonPayload."@type".
const tokenShape =
  /\s*(?:"((?:[^"\\]|\\.)*)"|(!=|>=|<=|[=<>:()])|(-(?=[A-Za-z("]))|((?:[A-Za-z0-9_@*+%/-]|\.(?:"[^"]*")?|(?<=T[0-9]{2}|T[0-9]{2}:[0-9]{2}):)+))/gy

const tokenize = (filter: string): Token[] => {
  const tokens: Token[] = []
  const text = filter.trimEnd()
  tokenShape.lastIndex = 0
  while (tokenShape.lastIndex < text.length) {
    const at = tokenShape.lastIndex
    const match = tokenShape.exec(text)
    if (!match)
      throw invalidArgument(
        `Unparseable filter: '${shorten(text.slice(at))}' at ${at} can't be read in '${shorten(filter)}'`
      )
    const [, quoted, symbol, minus, word] = match
    tokens.push({
      text: quoted?.replaceAll(/\\(.)/g, '$1') ?? symbol ?? minus ?? word ?? '',
      isQuoted: quoted !== undefined,
      at
    })
  }
  return tokens
}

const parseField = (field: string): string[] =>
  [...field.matchAll(/"([^"]*)"|[^."]+/g)].map(([bare, quoted]) => quoted ?? bare)

const findField = (entry: LogEntry, names: readonly string[]): unknown => {
  let value: unknown = entry
  for (const name of names) {
    if (typeof value !== 'object' || value === null || !hasField(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

// Inherited properties and the length of a list are not fields.
const hasField = (value: object, name: string): boolean =>
  Object.prototype.propertyIsEnumerable.call(value, name)

type Comparison = (actual: unknown) => boolean

/** A filter runs on every entry, so the wanted value is interpreted only once. */
const compileComparison = (operator: (typeof operators)[number], wanted: string): Comparison => {
  if (operator === ':') {
    const part = wanted.toLowerCase()
    return (actual) => actual !== undefined && (wanted === '*' || toText(actual).toLowerCase().includes(part))
  }
  const findOrder = compileOrder(wanted)
  const holds = orders[operator]
  // A missing field equals nothing and has no order.
  return (actual) => (actual === undefined ? operator === '!=' : holds(findOrder(toText(actual))))
}

const orders: Record<Exclude<(typeof operators)[number], ':'>, (order: number) => boolean> = {
  '=': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0
}

const toText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** Negative, 0 or positive. Compares as severities, numbers or times if both values are; otherwise as text. */
const compileOrder = (wanted: string): ((actual: string) => number) => {
  const rank = rankOf(wanted.toUpperCase())
  const number = isNumber(wanted) ? Number(wanted) : undefined
  const time = isTime(wanted) ? Date.parse(wanted) : undefined
  const text = wanted.toLowerCase()
  return (actual) => {
    if (actual === wanted) return 0
    if (rank >= 0 && rankOf(actual) >= 0) return rankOf(actual) - rank
    if (number !== undefined && isNumber(actual)) return Number(actual) - number
    if (time !== undefined && isTime(actual)) return Date.parse(actual) - time
    const left = actual.toLowerCase()
    return left === text ? 0 : left < text ? -1 : 1
  }
}

const rankOf = (severity: string): number => (severities as readonly string[]).indexOf(severity)

const isNumber = (text: string): boolean => /^-?[0-9]+(\.[0-9]+)?$/.test(text)
const isTime = (text: string): boolean =>
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+))?$/.test(text) && !Number.isNaN(Date.parse(text))
