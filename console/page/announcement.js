import { find, setText } from './element.js'

const shownFor = 12_000
let timer

/** Says something once: on the page for a while, and to a screen reader. */
export const announce = (text, kind = 'done') => {
  const place = find('announcement')
  // Cleared first, so that a sentence that is said twice is announced twice.
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

/** Shows a trouble for as long as it lasts; an empty text hides it. */
export const showTrouble = (text) => {
  const place = find('trouble')
  place.hidden = text === ''
  setText(place, text)
}
