import { announce } from './announcement.js'
import { describeFault, describeState, element, find, keepRoles, reconcile, setText } from './element.js'
import { describeExtras, describeOutcome } from './outcome.js'
import { read, toQuery } from './request.js'
import { count, duration, now, wallClock } from './time-text.js'

// On a narrow page a row takes three lines.
const pageSize = matchMedia('(width < 600px)').matches ? 8 : 25
const outcomes = ['completed', 'incomplete', 'failed', 'skipped', 'missed', 'running']
const spans = [
  { text: 'at any time', hours: 0 },
  { text: 'within an hour', hours: 1 },
  { text: 'within a day', hours: 24 },
  { text: 'within a week', hours: 168 },
  { text: 'within 30 days', hours: 720 }
]

/**
 * The history, page by page: the runs of the ledger, or the attempts of Cloud Scheduler.
 *
 * @param {{ openRun: (id: string) => void, openAttempt: (id: string) => void }} options
 */
export const createHistory = ({ openRun, openAttempt }) => {
  const kinds = {
    runs: { path: '/api/runs', columns: runColumns, open: openRun, takesTime: () => new Date() },
    attempts: { path: '/api/attempts', columns: attemptColumns, open: openAttempt, takesTime: now }
  }
  const filters = { job: find('history-job'), outcome: find('history-outcome'), time: find('history-time') }
  let kind = 'runs'
  /** Cursors of the pages up to this one; that of the first is undefined. */
  let pages = [undefined]
  let next
  let body
  let asking = 0

  const refresh = async () => {
    const { path, takesTime } = kinds[kind]
    const hours = Number(filters.time.value || 0)
    asking += 1
    const mine = asking
    try {
      const found = await read(
        path +
          toQuery({
            job: filters.job.value,
            outcome: filters.outcome.value,
            from: hours > 0 ? new Date(takesTime().getTime() - hours * 3_600_000).toISOString() : undefined,
            withRows: find('history-rows').checked || undefined,
            page: pages.at(-1),
            limit: pageSize
          })
      )
      // Drops the answer if another request has been sent since.
      if (mine === asking) show(found)
      return ''
    } catch (error) {
      if (mine === asking && !body) {
        find('history').replaceChildren(
          describeFault(
            kind === 'runs' ? 'The runs can’t be shown; the attempts can.' : 'The attempts can’t be shown.',
            error
          )
        )
      }
      return error.message
    }
  }

  /** Goes to a requested page; if it can't be read, the current page stays. */
  const goTo = async (wanted) => {
    const before = pages
    pages = wanted
    const fault = await refresh()
    if (fault === '' || pages !== wanted) return
    pages = before
    announce(fault, 'failed')
  }

  const show = (found) => {
    const items = found[kind]
    next = found.nextPage
    find('history-newer').disabled = pages.length === 1
    find('history-older').disabled = next === undefined
    const first = (pages.length - 1) * pageSize + 1
    setText(
      find('history-place'),
      items.length === 0
        ? ''
        : `${count(first)} to ${count(first + items.length - 1)} of ${count(found.total)}`
    )
    if (items.length === 0) {
      body = undefined
      find('history').replaceChildren(describeEmpty())
      return
    }
    const { columns, open } = kinds[kind]
    if (body?.dataset.kind !== kind) {
      body = element('tbody', { 'data-kind': kind })
      find('history').replaceChildren(keepRoles(buildTable(columns, body)))
    }
    reconcile(body, items, {
      key: ({ id }) => String(id),
      digest: ({ outcome, affected }) => `${outcome} ${affected}`,
      make: (item) => keepRoles(makeRow(item, columns, open))
    })
  }

  const describeEmpty = () =>
    isFiltered()
      ? describeState('Nothing matches these filters.', 'Clear the filters to see everything.')
      : kind === 'runs'
        ? describeState('No run yet.', 'Press Run in the table of jobs, or wait for the next tick.')
        : describeState(
            'No attempt yet.',
            'Cloud Scheduler makes one at each tick; press Run to make one now.'
          )

  const isFiltered = () =>
    find('history-rows').checked ||
    Object.values(filters).some((filter) => filter.value !== '' && filter.value !== '0')

  const restart = () => goTo([undefined])

  const choose = (chosen) => {
    kind = chosen
    for (const name of Object.keys(kinds))
      find(`history-${name}`).setAttribute('aria-pressed', String(name === kind))
    void restart()
  }

  for (const name of Object.keys(kinds)) find(`history-${name}`).addEventListener('click', () => choose(name))
  for (const filter of Object.values(filters)) filter.addEventListener('change', () => void restart())
  find('history-rows').addEventListener('change', () => void restart())
  find('history-clear').addEventListener('click', () => {
    find('history-rows').checked = false
    for (const filter of Object.values(filters)) filter.selectedIndex = 0
    void restart()
  })
  find('history-older').addEventListener('click', () => {
    if (next !== undefined) void goTo([...pages, next])
  })
  find('history-newer').addEventListener('click', () => {
    if (pages.length > 1) void goTo(pages.slice(0, -1))
  })
  filters.outcome.replaceChildren(
    element('option', { value: '' }, 'any'),
    ...outcomes.map((outcome) => element('option', { value: outcome }, outcome))
  )
  filters.time.replaceChildren(...spans.map(({ text, hours }) => element('option', { value: hours }, text)))
  filters.job.replaceChildren(element('option', { value: '' }, 'all'))

  return {
    refresh,
    /** New runs appear on the first page; an older page stays as it is while someone reads it. */
    refreshIfLatest: async () => {
      if (pages.length === 1) await refresh()
    },
    useJobs: (jobs) => {
      if (filters.job.length === jobs.length + 1) return
      const before = filters.job.value
      filters.job.replaceChildren(
        element('option', { value: '' }, 'all'),
        ...jobs.map(({ id }) => element('option', { value: id }, id))
      )
      filters.job.value = before
    }
  }
}

const runColumns = [
  { label: 'Began', text: ({ startedAt }) => wallClock(startedAt, { seconds: true }) },
  { label: 'Job', text: ({ job }) => job },
  {
    label: 'Outcome',
    node: ({ outcome, dryRun }) => describeOutcome(outcome, dryRun ? `${outcome}, dry run` : outcome)
  },
  {
    label: 'Rows',
    isNumber: true,
    node: (run) => {
      const extras = describeExtras(run)
      return element('span', {}, count(run.affected), extras && element('span', { class: 'sub' }, extras))
    }
  },
  {
    label: 'Took',
    isNumber: true,
    text: ({ outcome, durationMs }) => (outcome === 'missed' ? '' : duration(durationMs))
  },
  {
    label: 'For',
    text: ({ tick, attempt }) =>
      tick ? `tick ${wallClock(tick)}${attempt > 1 ? `, attempt ${attempt}` : ''}` : 'by hand'
  },
  { label: 'Result', isWide: true, text: ({ output, error }) => error || output }
]

const attemptColumns = [
  { label: 'Began', text: ({ start }) => wallClock(start, { seconds: true }) },
  { label: 'Job', text: ({ job }) => job },
  { label: 'Outcome', node: ({ outcome }) => describeOutcome(outcome) },
  { label: 'Answer', text: ({ answer }) => answer },
  { label: 'Rows', isNumber: true, text: ({ affected }) => (affected === undefined ? '' : count(affected)) },
  {
    label: 'For',
    text: ({ forced, scheduleTime, attemptNumber }) =>
      forced
        ? 'by hand'
        : `tick ${wallClock(scheduleTime)}${attemptNumber > 1 ? `, attempt ${attemptNumber}` : ''}`
  },
  { label: 'Result', isWide: true, text: ({ sentence }) => sentence }
]

const buildTable = (columns, body) =>
  element(
    'table',
    { class: 'history cards', 'aria-labelledby': 'history-title' },
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        ...columns.map(({ label, isNumber }) =>
          element('th', { scope: 'col', class: isNumber ? 'number' : undefined }, label)
        )
      )
    ),
    body
  )

const makeRow = (item, columns, open) =>
  element(
    'tr',
    {},
    ...columns.map((column, index) => {
      const content = column.node ? column.node(item) : column.text(item)
      const attributes = {
        class: [column.isNumber && 'number', column.isWide && 'wide'].filter(Boolean).join(' ') || undefined,
        'data-label': column.label
      }
      // The first column opens the row, so that each row is one tab stop.
      return index === 0
        ? element(
            'th',
            { scope: 'row' },
            element(
              'button',
              {
                type: 'button',
                class: 'link',
                'aria-label': `Details of ${item.job}, ${content}, ${item.outcome}`,
                onclick: () => open(item.id)
              },
              content
            )
          )
        : element('td', attributes, content)
    })
  )
