/**
 * Runs Pulumi without traces: its SDK keeps that of each promise that it makes, thousands in a program, and vitest maps
 * each to the sources. An error from within has its message alone.
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
