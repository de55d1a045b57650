import { type EngineEvent, LocalWorkspace } from '@pulumi/pulumi/automation/index.js'
import { describeDrift, findDrift } from './drift.ts'

/** `node infra/report-drift.ts STAGE`: reports differences from the stage's state, and exits 1 if there are any. */
const main = async (): Promise<void> => {
  const [stackName] = process.argv.slice(2)
  if (!stackName) throw new Error('the stage must be given, got nothing: node infra/report-drift.ts STAGE')
  const stack = await LocalWorkspace.selectStack({ stackName, workDir: `${import.meta.dirname}/..` })
  const events: EngineEvent[] = []
  await stack.refresh({ previewOnly: true, onEvent: (event) => events.push(event) })
  const report = describeDrift(stackName, findDrift(events))
  process.stdout.write(`${report || `nothing differs in ${stackName}`}\n`)
  process.exitCode = report ? 1 : 0
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
