import type { Answer } from './answer.ts'
import { examine, examineDeployment, type Finding } from './doctor-checks.ts'
import { gatherFacts } from './doctor-facts.ts'
import type { Session } from './session.ts'

/**
 * `doctor`: looks at all that a stage needs in order to run, and says what to do about what is wrong.
 */
export const answerDoctor = async (
  session: Session,
  { now, isForPeople, isProof, image }: DoctorOptions
): Promise<Answer> => {
  const facts = { ...(await gatherFacts(session, now)), ...(image ? { image } : {}) }
  const findings = isProof ? examineDeployment(facts) : examine(facts)
  return {
    json: findings,
    blocks: [
      isForPeople
        ? findings.map(formatFinding).join('\n')
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
  /** Whether it proves a deployment, and says nothing of what ran before. */
  readonly isProof: boolean
  /** The image that has to run, by digest. */
  readonly image: string | undefined
}

const formatFinding = ({ level, check, what, fix }: Finding): string =>
  `${level.padEnd(4)}  ${check.padEnd(10)}  ${what}${fix && !what.includes(fix) ? `  → ${fix}` : ''}`
