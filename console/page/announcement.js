import { find, setText } from './element.js'

const shownFor = 12_000
let timer

/** Says something once: on the page for a while, and to a screen reader. */
export const announce = (text, kind = 'done') => {
  const place = find('announcement')
  // The same sentence twice is news twice.
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

/** Shows what stands in the way for as long as it does. */
export const showTrouble = (text) => {
  const place = find('trouble')
  place.hidden = text === ''
  setText(place, text)
}
