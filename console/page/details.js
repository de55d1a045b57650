import { describeState, element } from './element.js'
import { describeExtras, describeOutcome } from './outcome.js'
import { read, toQuery } from './request.js'
import { count, duration, longDayOf, timeOfDay, utc, wallClock, zoneAt } from './time-text.js'

/**
 * The dialog that shows one thing in full: a run, an attempt, the ticks of a day.
 *
 * @param {HTMLDialogElement} dialog
 */
export const createDetails = (dialog) => {
  const open = async (title, load) => {
    const content = element('div', { class: 'content' }, element('p', { class: 'note' }, 'Loading.'))
    dialog.replaceChildren(
      element(
        'div',
        { class: 'heading' },
        element('h2', { id: 'details-title', tabindex: '-1' }, title),
        element('button', { type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() }, 'Close')
      ),
      content
    )
    if (!dialog.open) dialog.showModal()
    dialog.querySelector('h2').focus()
    try {
      content.replaceChildren(...(await load()))
    } catch (error) {
      content.replaceChildren(describeState('This can’t be shown.', error.message, 'error'))
    }
  }

  const openRun = (id) =>
    void open('Run', async () => {
      const { run, parameters, attempts, log } = await read(`/api/runs/${id}`)
      return [
        describeRun(run),
        block('Parameters', parameters),
        ...(attempts.length === 0
          ? []
          : [
              section(
                'Deliveries',
                element(
                  'ul',
                  { class: 'plain' },
                  ...attempts.map((one) => element('li', {}, attemptLink(one)))
                )
              )
            ]),
        describeLog(log)
      ]
    })

  const openAttempt = (id) =>
    void open('Attempt', async () => {
      const { attempt, request, response, run, log } = await read(`/api/attempts/${id}`)
      const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`)
      const status =
        response.statusCode === undefined ? (response.error ?? attempt.answer) : String(response.statusCode)
      return [
        describeAttempt(attempt, run),
        ...(run ? [section('Run', element('p', {}, runLink(run)))] : []),
        block(
          'Request',
          [`${request.method} ${request.url}`, ...headers, '', request.body].join('\n').trim()
        ),
        block('Answer', `${status}\n\n${pretty(response.body)}`.trim()),
        describeLog(log)
      ]
    })

  const openTicks = (job, from, until) =>
    void open(`${job}, ${longDayOf(from)}`, async () => {
      const { ticks } = await read(`/api/ticks${toQuery({ job, from, until })}`)
      if (ticks.length === 0)
        return [
          describeState(
            'No tick on this day.',
            'The schedule has none on this day, or daylight saving skips its time.'
          )
        ]
      return [
        element(
          'table',
          { class: 'ticks' },
          element(
            'thead',
            {},
            element(
              'tr',
              {},
              ...['Tick', 'Outcome', 'Rows', 'Result'].map((label) =>
                element('th', { scope: 'col', class: label === 'Rows' ? 'number' : undefined }, label)
              )
            )
          ),
          element('tbody', {}, ...ticks.map(makeTick))
        )
      ]
    })

  const makeTick = ({ at, state, attempts, byHand, run, attempt }) => {
    const sentence = run?.error || run?.output || attempt?.sentence || texts[state] || ''
    const show = attempt ? () => openAttempt(attempt.id) : run && (() => openRun(run.id))
    const rows = run?.affected ?? attempt?.affected
    const extras = run ? describeExtras(run) : ''
    return element(
      'tr',
      {},
      element('th', { scope: 'row' }, `${timeOfDay(at)} ${zoneAt(at)}${byHand ? ', by hand' : ''}`),
      element(
        'td',
        {},
        describeOutcome(state, state === 'none' ? 'unknown' : state === 'due' ? 'to come' : state)
      ),
      element(
        'td',
        { class: 'number' },
        rows === undefined ? '' : count(rows),
        extras && element('span', { class: 'sub' }, extras)
      ),
      element(
        'td',
        {},
        show
          ? element(
              'button',
              {
                type: 'button',
                class: 'link',
                'aria-label': `Details of ${timeOfDay(at)}: ${sentence}`,
                onclick: show
              },
              sentence || 'details'
            )
          : sentence,
        attempts > 1 && ` (${attempts} attempts)`
      )
    )
  }

  const attemptLink = (one) =>
    element(
      'button',
      { type: 'button', class: 'link', onclick: () => openAttempt(one.id) },
      `attempt ${one.id}: ${one.answer || 'under way'}, ${wallClock(one.start, { seconds: true })}`
    )
  const runLink = (one) =>
    element(
      'button',
      { type: 'button', class: 'link', onclick: () => openRun(one.id) },
      `${one.id}: ${one.error || one.output || one.state}`
    )

  // A click outside the dialog closes it.
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close()
  })

  return { openRun, openAttempt, openTicks }
}

// For a run or an attempt without a tick.
const noTick = 'no tick: run by hand'

const texts = {
  none: 'no trace of it: before the start, or jumped over',
  due: '',
  missed: 'it was never delivered'
}

const describeRun = (run) =>
  facts([
    ['Job', run.job],
    [
      'Outcome',
      describeOutcome(run.outcome, run.state === run.outcome ? run.outcome : `${run.outcome}: ${run.state}`)
    ],
    ['Result', run.error || run.output],
    [
      'Began',
      `${wallClock(run.startedAt, { seconds: true })} ${zoneAt(run.startedAt)}, ${utc(run.startedAt)}`
    ],
    ['Took', duration(run.durationMs)],
    [
      'For',
      run.tick ? `the tick of ${wallClock(run.tick)} ${zoneAt(run.tick)}, attempt ${run.attempt}` : noTick
    ],
    [
      'Rows',
      `${count(run.affected)} ${run.dryRun ? 'found, none changed: a dry run' : 'changed'}, ${describeExtras(run) || 'none failed'}, in ${count(run.batches)} batches${run.more ? '; more are due' : ''}`
    ],
    ['Id', element('code', {}, run.id)]
  ])

const describeAttempt = (attempt, run) =>
  facts([
    ['Job', attempt.job],
    ['Outcome', describeOutcome(attempt.outcome)],
    // The worker tells its caller only that the run failed; the ledger knows why.
    ['Result', run?.error || attempt.sentence],
    [
      'Began',
      `${wallClock(attempt.start, { seconds: true })} ${zoneAt(attempt.start)}, ${utc(attempt.start)}`
    ],
    // Virtual time stands still during an attempt: the run has the real duration.
    [
      'Took',
      run
        ? duration(run.durationMs)
        : attempt.end
          ? duration(Date.parse(attempt.end) - Date.parse(attempt.start))
          : 'under way'
    ],
    [
      'For',
      attempt.forced
        ? noTick
        : `the tick of ${wallClock(attempt.scheduleTime)} ${zoneAt(attempt.scheduleTime)}`
    ],
    ['Attempt', attempt.attemptNumber > 1 ? `${attempt.attemptNumber}: a retry` : 'the first']
  ])

const facts = (list) =>
  element(
    'dl',
    { class: 'facts' },
    ...list.flatMap(([name, value]) =>
      value === '' ? [] : [element('dt', {}, name), element('dd', {}, value)]
    )
  )

const section = (title, ...children) => element('section', {}, element('h3', {}, title), ...children)

// A region that scrolls must be reachable by keyboard.
const block = (title, text) =>
  section(title, element('pre', { tabindex: '0', role: 'region', 'aria-label': title }, text))

const describeLog = (lines) =>
  section(
    'Log',
    lines.length === 0
      ? element(
          'p',
          { class: 'note' },
          'No lines. The log of an earlier start is in worker.log in the data folder.'
        )
      : element(
          'ol',
          { class: 'log' },
          ...lines.map(({ at, severity, source, message, fields }) =>
            element(
              'li',
              { class: severity.toLowerCase() },
              element(
                'details',
                {},
                element(
                  'summary',
                  {},
                  element('span', { class: 'at' }, timeOfDay(at, true)),
                  element('span', { class: 'severity' }, severity),
                  element('span', { class: 'source' }, source),
                  element('span', { class: 'message' }, message)
                ),
                element(
                  'pre',
                  { tabindex: '0', role: 'region', 'aria-label': `Fields of ${message}` },
                  fields
                )
              )
            )
          )
        )
  )

const pretty = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    // Not JSON, or truncated: shown as is.
    return text
  }
}
