/**
 * Makes foreign text safe to print on a terminal's line: characters that would break the line, move the cursor, colour
 * what follows or turn its direction are escaped, like `\u001b`.
 */
export const escapeControls = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
