import cronstrue from 'cronstrue'

/** A cron expression in words: `every 5 minutes`, `at 04:00, only on Sunday`. */
export const describeSchedule = (expression: string): string => {
  const words = cronstrue.toString(expression, { use24HourTimeFormat: true, verbose: false })
  return words.charAt(0).toLowerCase() + words.slice(1)
}
