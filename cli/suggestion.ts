import { closest, distance } from 'fastest-levenshtein'

// Beyond that a word is another one.
const nearShare = 0.4

/**
 * What somebody may have meant, as it follows `got 'clear-session'`: the one known word that has theirs in it, or the
 * nearest.
 *
 * @returns `: did you mean 'clear-sessions'?`, or nothing where no known word is near.
 */
export const suggest = (text: string, known: readonly string[]): string => {
  const [only, ...more] = text.length > 2 ? known.filter((word) => word.includes(text)) : []
  const near = only !== undefined && more.length === 0 ? only : closest(text, known)
  const isNear = near === only || distance(text, near) <= Math.max(1, text.length * nearShare)
  return isNear ? `: did you mean '${near}'?` : ''
}
