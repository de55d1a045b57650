/** The reason why a command failed, in a sentence for people: exit code 1. */
export class CommandError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
  }
}

/** The command was used wrongly: exit code 2. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}
