/**
 * Runs Pulumi without stack traces: its SDK keeps one for each promise, thousands in a program, and vitest maps each to
 * the sources. An error from within has only its message.
 */
export const withoutTraces = async <Value>(run: () => Promise<Value>): Promise<Value> => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return await run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
