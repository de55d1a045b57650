/** Why a command can't do what it was asked to, in a sentence for people: exit code 1. */
export class CommandError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
  }
}

/** The command was given what it does not take: exit code 2. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}
