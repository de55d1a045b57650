/**
 * Makes untrusted text safe to print on one line of a terminal: characters that would break the line, move the cursor,
 * colour what follows or reverse its direction are escaped, as `\u001b`.
 */
export const escapeControls = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
