import { writeFile } from 'node:fs/promises'
import { type EngineEvent, LocalWorkspace } from '@pulumi/pulumi/automation/index.js'
import { describePlan } from './plan-description.ts'
import { readPlan } from './plan.ts'

// GitHub takes 65,536 characters per comment, and three stages share one.
const longestDiff = 12_000

/**
 * `node infra/report-preview.ts STAGE FILE`: previews a stage and writes the planned changes to the file, in words and
 * with Pulumi's own diff. If the stage can't be deployed, it still writes the file, but exits 1.
 */
const main = async (): Promise<void> => {
  const [stackName, file] = process.argv.slice(2)
  if (!stackName || !file)
    throw new Error('the stage and a file must be given, got less: node infra/report-preview.ts STAGE FILE')
  const stack = await LocalWorkspace.selectStack({ stackName, workDir: `${import.meta.dirname}/..` })
  const events: EngineEvent[] = []
  let diff = ''
  let fault: unknown
  try {
    await stack.preview({
      diff: true,
      color: 'never',
      onEvent: (event) => events.push(event),
      onOutput: (text) => (diff += text)
    })
  } catch (error) {
    fault = error
  }
  const plan = readPlan(events)
  // The engine may fail before it has sent any event.
  const errors = fault && plan.errors.length === 0 ? [messageOf(fault)] : plan.errors
  await writeFile(file, `${describePlan(stackName, { ...plan, errors }, new Date())}\n\n${foldDiff(diff)}\n`)
  process.stdout.write(`${diff}\n`)
  process.exitCode = fault ? 1 : 0
}

/** The diff, folded, for readers who want every field of it. */
const foldDiff = (diff: string): string => {
  const text = diff.trim().replaceAll('```', "'''")
  const shown = text.length > longestDiff ? `${text.slice(0, longestDiff)}\n… the rest is in the log` : text
  return `<details><summary>Pulumi’s own diff</summary>\n\n\`\`\`\n${shown}\n\`\`\`\n\n</details>`
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
})
