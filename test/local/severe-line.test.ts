import { expect, it } from 'vitest'
import { describeSevere } from '../../local/severe-line.ts'
import { openLog } from '../../worker/log.ts'

const write = (level: 'info' | 'warn' | 'error', error: Error | undefined, message: string): string => {
  let line = ''
  openLog('debug', { write: (text) => void (line = text.trimEnd()) })[level]({ err: error }, message)
  return line
}

it('shows the message of a warning, not that of the error that it holds', () => {
  const line = write(
    'warn',
    new Error('the connection was lost'),
    'the tables "a" and "b" could not be checked'
  )
  expect(describeSevere(line)).toBe('worker: the tables "a" and "b" could not be checked')
})

it('shows the message of an error, without what would move the cursor', () => {
  expect(describeSevere(write('error', undefined, 'failed\u001b[2J'))).toBe('worker: failed\\u001b[2J')
})

it('leaves out what is neither', () => {
  expect(describeSevere(write('info', undefined, 'the worker listens'))).toBeUndefined()
})

it.each(['Error: out of memory', '{"severity":"WARNING","mess', 'null', '17', '"text"', '[]', '{}'])(
  'shows a line that is no entry whole: %s',
  (line) => {
    expect(describeSevere(line)).toBe(`worker: ${line}`)
  }
)
