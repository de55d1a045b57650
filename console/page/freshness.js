import { find, setText } from './element.js'
import { read } from './request.js'
import { dayOf, relative } from './time-text.js'

/** How old the history on the page is; shows nothing for a source that is always up to date. */
export const createFreshness = () => {
  let shown = {}

  const retell = () => {
    const { asOf, from } = shown
    const place = find('freshness')
    place.hidden = !asOf && !from
    const end = from ? `, back to ${dayOf(from)}` : ''
    if (!place.hidden)
      setText(place, asOf ? `history as of ${relative(asOf)}${end}` : `reading the history${end} so far`)
  }

  const show = (freshness) => {
    shown = freshness
    retell()
  }

  return {
    show,
    retell,
    refresh: async () => {
      const freshness = await read('/api/freshness').catch(() => undefined)
      if (freshness) show(freshness)
    }
  }
}
