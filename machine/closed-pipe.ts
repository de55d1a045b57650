/**
 * Lets this program end quietly once nobody reads what it prints, as `… | head` does after its first lines: they have what they
 * wanted. To be called before anything is printed.
 */
export const endAtClosedPipe = (): void => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      process.exit(process.exitCode ?? 0)
    })
  }
}
