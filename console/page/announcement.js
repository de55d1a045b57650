import { find, setText } from './element.js'

const shownFor = 12_000
let timer

/** Announces a text once: on the page for a while, and to screen readers. */
export const announce = (text, kind = 'done') => {
  const place = find('announcement')
  // Cleared first, so that a repeated sentence is announced again.
  place.textContent = ''
  place.dataset.kind = kind
  setText(place, text)
  place.title = text
  clearTimeout(timer)
  timer = setTimeout(() => {
    place.textContent = ''
    place.title = ''
  }, shownFor)
}

/** Shows a problem for as long as it lasts; an empty text hides it. */
export const showTrouble = (text) => {
  const place = find('trouble')
  place.hidden = text === ''
  setText(place, text)
}
