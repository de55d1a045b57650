import * as z from 'zod'
import { escapeControls } from '../emulator/terminal-text.ts'

/**
 * The terminal's text for a line of the worker: the message of a warning or an error, or the whole line if it is not
 * an entry of the worker's log.
 *
 * @returns undefined for an entry that is neither.
 */
export const describeSevere = (line: string): string | undefined => {
  const { severity = '', message = line } = readEntry(line) ?? {}
  return ['DEBUG', 'INFO'].includes(severity) ? undefined : escapeControls(`worker: ${message}`)
}

const entry = z.object({ severity: z.string(), message: z.string() })

const readEntry = (line: string): z.infer<typeof entry> | undefined => {
  try {
    return entry.parse(JSON.parse(line))
  } catch {
    return undefined
  }
}
