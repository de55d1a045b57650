import { element, find, reconcile, setText } from './element.js'
import { read } from './request.js'

/** Everything that needs attention: one quiet line if nothing does. */
export const createAttention = () => {
  let reason

  const show = (troubles) => {
    setText(find('attention-note'), troubles.length === 0 ? 'Nothing needs attention.' : countOf(troubles))
    find('attention').closest('section').dataset.level = troubles[0]?.level ?? 'none'
    reconcile(find('attention'), troubles, {
      key: ({ kind, job = '' }) => `${kind} ${job}`,
      digest: ({ level, what, fix }) => `${level} ${what} ${fix}`,
      make: makeItem
    })
  }
  return {
    /** Says why nothing is listed if the source can't tell what needs attention. */
    leaveOut: (why) => {
      reason = why
      if (why !== undefined) setText(find('attention-note'), why)
    },
    refresh: async () => {
      if (reason !== undefined) return
      try {
        show((await read('/api/troubles')).troubles)
      } catch (error) {
        // The list stays: it may hold the reason why nothing can be read.
        if (!error.isForNow) setText(find('attention-note'), error.message)
      }
    }
  }
}

const countOf = ({ length }) => `${length} ${length === 1 ? 'thing' : 'things'}`

const makeItem = ({ level, what, fix }) =>
  element(
    'li',
    { class: `trouble ${level}` },
    element('span', { class: 'glyph', 'aria-hidden': 'true' }, level === 'fail' ? '✕' : '!'),
    element('span', { class: 'what' }, what),
    element('span', { class: 'fix' }, fix)
  )
