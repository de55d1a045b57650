import type { Answer } from './answer.ts'
import { examine, examineDeployment, type Finding } from './doctor-checks.ts'
import { gatherFacts } from './doctor-facts.ts'
import type { Session } from './session.ts'

/** `doctor`: checks everything that a stage needs in order to run, and says how to fix what is wrong. */
export const answerDoctor = async (
  session: Session,
  { now, isForPeople, isProof, image }: DoctorOptions
): Promise<Answer> => {
  const facts = { ...(await gatherFacts(session, now)), ...(image ? { image } : {}) }
  const found = isProof ? examineDeployment(facts) : examine(facts)
  // Failures and warnings come first; the rest stays in the order of the checks.
  const findings = found.toSorted((a, b) => rankOf(a) - rankOf(b))
  return {
    json: findings,
    blocks: [
      isForPeople
        ? [describeTrouble(findings), ...findings.map(formatFinding)].join('\n')
        : {
            columns: ['level', 'check', 'what', 'fix'],
            rows: findings.map(({ level, check, what, fix }) => [level, check, what, fix])
          }
    ],
    failed: findings.some(({ level }) => level === 'fail')
  }
}

interface DoctorOptions {
  readonly now: Date
  readonly isForPeople: boolean
  /** Whether the result proves a deployment, ignoring earlier runs. */
  readonly isProof: boolean
  /** The image that must run, by digest. */
  readonly image: string | undefined
}

const levels: readonly Finding['level'][] = ['fail', 'warn']
const rankOf = ({ level }: Finding): number =>
  levels.includes(level) ? levels.indexOf(level) : levels.length

const describeTrouble = (findings: readonly Finding[]): string => {
  const count = findings.filter(({ level }) => levels.includes(level)).length
  return count === 0
    ? 'nothing needs a person'
    : `${count} ${count === 1 ? 'thing needs' : 'things need'} a person`
}

const formatFinding = ({ level, check, what, fix }: Finding): string =>
  `${level.padEnd(4)}  ${check.padEnd(10)}  ${what}${fix && !what.includes(fix) ? `  → ${fix}` : ''}`
