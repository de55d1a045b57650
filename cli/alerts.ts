import { describeAlert } from '../infra/alert-catalogue.ts'
import { findIncidents, type Incident } from '../infra/incidents.ts'
import { formatWallClock } from '../schedule/time-zone.ts'
import type { Answer } from './answer.ts'
import type { Session } from './session.ts'

// More lines of one kind would add nothing.
const mostLines = 1_000

/** `alerts`: the alerts that fire now, by their own filters on the stage's log, with their runbook entries. */
export const answerAlerts = async (
  { target, log }: Pick<Session, 'target' | 'log'>,
  now: Date
): Promise<Answer> => {
  const { declaration, name: stage } = target
  const incidents = await findIncidents(
    declaration,
    (filter, since) => log.readEntries(filter, { since, limit: mostLines }),
    now
  )
  const jobOf = ({ job = '' }: Incident): string =>
    declaration.jobs.find(({ id, name }) => job === id || job === name)?.id ?? job
  const firing = [...new Set(incidents.map(({ alert }) => alert))]
  return {
    json: incidents.map((incident) => ({
      alert: incident.alert.id,
      title: incident.alert.title,
      severity: incident.alert.severity,
      job: jobOf(incident),
      first: incident.first.toISOString(),
      last: incident.last.toISOString(),
      lines: incident.lines,
      runbook: describeAlert(incident.alert, stage, jobOf(incident) || undefined)
    })),
    blocks: [
      {
        columns: ['severity', 'alert', 'job', `last (${declaration.timeZone})`, 'lines'],
        rows: incidents.map((incident) => [
          incident.alert.severity,
          incident.alert.title,
          jobOf(incident),
          formatWallClock(declaration.timeZone, incident.last, true),
          String(incident.lines)
        ])
      },
      ...firing.map((alert) => `${alert.title}\n${describeAlert(alert, stage)}`)
    ],
    notes: incidents.length === 0 ? [`nothing has fired in ${stage} within a day`] : []
  }
}
