import type { Answer } from './answer.ts'
import { examine, type Finding } from './doctor-checks.ts'
import { gatherFacts } from './doctor-facts.ts'
import type { Session } from './session.ts'

/** `doctor`: looks at all that a stage needs in order to run, and says what to do about what is wrong. */
export const answerDoctor = async (session: Session, now: Date, isForPeople: boolean): Promise<Answer> => {
  const findings = examine(await gatherFacts(session, now))
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

const formatFinding = ({ level, check, what, fix }: Finding): string =>
  `${level.padEnd(4)}  ${check.padEnd(9)}  ${what}${fix && !what.includes(fix) ? `  → ${fix}` : ''}`
