import { element } from './element.js'

/** A shape for each outcome, so that none is told by its colour alone. */
export const glyphs = {
  completed: '✓',
  running: '▸',
  failed: '✕',
  skipped: '–',
  missed: '!',
  none: '·',
  due: '○'
}

/** What an outcome means, for the key of the week. */
export const meanings = {
  completed: 'completed',
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
