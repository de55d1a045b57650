import { closest, distance } from 'fastest-levenshtein'

// A word that differs by more than this share of its letters is another word.
const nearShare = 0.4

/**
 * A suggestion to put after `got 'clear-session'`: the only known word that contains the given one, or the nearest one.
 *
 * @returns `: did you mean 'clear-sessions'?`, or nothing if no known word is near.
 */
export const suggest = (text: string, known: readonly string[]): string => {
  const [only, ...more] = text.length > 2 ? known.filter((word) => word.includes(text)) : []
  const near = only !== undefined && more.length === 0 ? only : closest(text, known)
  const isNear = near === only || distance(text, near) <= Math.max(1, text.length * nearShare)
  return isNear ? `: did you mean '${near}'?` : ''
}
