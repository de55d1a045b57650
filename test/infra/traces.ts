/**
 * Runs Pulumi without stack traces: its SDK keeps one per promise, thousands in a program, and vitest source-maps each.
 * Errors thrown inside have only their message.
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
