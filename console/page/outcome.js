import { element } from './element.js'
import { count } from './time-text.js'

/** A shape for each outcome, so that none is recognised by its colour alone. */
export const glyphs = {
  completed: '✓',
  incomplete: '◐',
  running: '▸',
  failed: '✕',
  skipped: '–',
  missed: '!',
  none: '·',
  due: '○'
}

/** The meaning of each outcome, for the legend of the week. */
export const meanings = {
  completed: 'completed',
  incomplete: 'incomplete: rows failed',
  failed: 'failed',
  missed: 'missed: never delivered',
  skipped: 'skipped: another run was under way',
  running: 'under way',
  none: 'nothing known',
  due: 'to come'
}

/** An outcome as a word with its shape. */
export const describeOutcome = (outcome, text = outcome) =>
  element(
    'span',
    { class: `outcome ${outcome}` },
    element('span', { class: 'glyph', 'aria-hidden': 'true' }, glyphs[outcome] ?? '·'),
    element('span', {}, text)
  )

/** The counts of a run that are worth mentioning, most often none: `3 failed, 2 held`. */
export const describeExtras = (run) =>
  ['failed', 'held', 'waiting', 'missing']
    .filter((name) => run[name] > 0)
    .map((name) => `${count(run[name])} ${name}`)
    .join(', ')
