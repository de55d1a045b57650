import { writeSync } from 'node:fs'
import type { Reporter, TestModule, TestRunEndReason, Vitest } from 'vitest/node'

/** Prints the last line of a run on stdout: `128 passed, 0 failed`, and `, 3 skipped` if there are any. */
// oxlint-disable-next-line import/no-default-export -- vitest loads a reporter's default export
export default class ClosingLine implements Reporter {
  // Failed until the run ends, which it never does if the tests' server fails to start.
  #line = describeCounts({ passed: 0, failed: 1, skipped: 0 })
  #isWatching = false

  onInit(vitest: Vitest): void {
    this.#isWatching = vitest.config.watch
    // Other reporters and the teardown print after `onTestRunEnd`.
    if (!this.#isWatching) process.once('exit', () => writeSync(1, `${this.#line}\n`))
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    this.#line = describeCounts(countTests(modules, errors, reason))
    if (this.#isWatching) console.info(this.#line)
  }
}

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

const describeCounts = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`

const countTests = (
  modules: readonly TestModule[],
  errors: readonly unknown[],
  reason: TestRunEndReason
): Counts => {
  const tests = modules.flatMap((module) =>
    [...module.children.allTests()].map((test) => test.result().state)
  )
  const count = (state: string): number => tests.filter((found) => found === state).length
  // A file that can't be imported or a hook that throws fails no test; an unhandled error belongs to none.
  const brokenSuites = modules
    .flatMap((module) => [module, ...module.children.allSuites()])
    .filter((suite) => suite.errors().length > 0).length
  const failed = count('failed') + brokenSuites + errors.length
  return {
    passed: count('passed'),
    failed: failed === 0 && reason !== 'passed' ? 1 : failed,
    // Todo and never-started tests too.
    skipped: count('skipped') + count('pending')
  }
}
