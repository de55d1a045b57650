import { announce } from './announcement.js'
import { askStageName, askToRun } from './confirmation.js'
import { describeFault, describeState, element, find, keepRoles, reconcile, setText } from './element.js'
import { describeOutcome } from './outcome.js'
import { ask, read, toQuery } from './request.js'
import { count, relative, utc, wallClock, zoneAt } from './time-text.js'

/**
 * The table of jobs, with the actions on each.
 *
 * @param {{ confirmation: HTMLDialogElement, onChange: (jobs) => void, openRun: (id: string) => void, openAttempt: (id: string) => void }} options
 */
export const createJobs = ({ confirmation, onChange, openRun, openAttempt }) => {
  const rows = new Map()
  /** Jobs run from this page: the end of the attempt is announced. */
  const asked = new Set()
  /** The source's rules: what must be typed before each action, or why there are no actions. */
  let rules = {}
  let body

  const refresh = async () => {
    try {
      const { jobs, fault } = await read('/api/jobs')
      show(jobs, fault)
      onChange(jobs)
    } catch (error) {
      if (body) return
      find('jobs').replaceChildren(describeFault('The jobs can’t be shown.', error))
    }
  }

  const show = (jobs, fault) => {
    if (jobs.length === 0) {
      body = undefined
      rows.clear()
      find('jobs').replaceChildren(
        describeState(
          'Cloud Scheduler has no job.',
          'Start again with npm start: it makes the jobs that the stage declares.'
        )
      )
      return
    }
    if (!body) {
      performance.mark('first-content')
      body = element('tbody')
      find('jobs').replaceChildren(keepRoles(buildTable(body)))
    }
    reconcile(body, jobs, { key: ({ id }) => id, digest: () => '', make: (job) => keepRoles(makeRow(job)) })
    for (const id of rows.keys()) if (!jobs.some((job) => job.id === id)) rows.delete(id)
    for (const job of jobs) fill(rows.get(job.id), job)
    const paused = jobs.filter((job) => job.state !== 'ENABLED').length
    find('pause-all').disabled = paused === jobs.length
    find('resume-all').disabled = paused === 0
    for (const verb of ['pause', 'resume']) find(`${verb}-all`).hidden = rules.leftOut?.actions !== undefined
    setText(
      find('jobs-note'),
      fault ?? rules.leftOut?.actions ?? `${jobs.length} jobs${paused > 0 ? `, ${paused} paused` : ''}`
    )
  }

  /** Performs a button's action; further clicks do nothing until it is done. */
  const act = async (row, verb) => {
    const button = row.buttons[verb]
    if (button.getAttribute('aria-disabled') === 'true') return
    button.setAttribute('aria-disabled', 'true')
    try {
      if (verb === 'dry-run') await tryOut(row)
      else if (verb === 'run' || verb === 'parameters') await runAfterAsking(row, verb === 'parameters')
      else await change(row, verb)
    } catch (error) {
      asked.delete(row.job.id)
      announce(`${row.job.id}: ${error.message}`, 'failed')
    } finally {
      row.isTrying = false
      button.setAttribute('aria-disabled', 'false')
      await refresh()
    }
  }

  /** Requests an action, after asking for the stage's name if it must be typed; undefined when cancelled. */
  const send = async (path, action, parameters, onSent = () => undefined) => {
    const request = parameters ? { parameters } : {}
    if (rules.confirmation) {
      request.stage = await askStageName(confirmation, { stage: rules.confirmation, action })
      if (request.stage === undefined) return undefined
    }
    onSent()
    return ask(path, request)
  }

  const pathOf = (row, verb) => `/api/jobs/${encodeURIComponent(row.job.id)}/${verb}`

  const change = async (row, verb) => {
    const changed = await send(pathOf(row, verb), `${verb === 'pause' ? 'Pause' : 'Resume'} ${row.job.id}`)
    if (changed) announce(`${row.job.id} is ${verb === 'pause' ? 'paused' : 'resumed'}.`)
  }

  const tryOut = async (row, parameters) => {
    await waitForResult(row, 'dry-run', parameters, 'dry run', () => {
      row.isTrying = true
      row.tell([describeOutcome('running', 'dry run: counting')])
    })
  }

  /** Asks first when rows are due, can't be counted, or parameters are wanted; otherwise runs the job at once. */
  const runAfterAsking = async (row, withParameters) => {
    const isCounted = row.job.isDeclared && rules.leftOut?.due === undefined
    const due = isCounted ? await findDue(row.job.id) : undefined
    if (!withParameters && (!due || due.count === 0)) return runJob(row)
    const answer = await askToRun(confirmation, {
      job: row.job.id,
      text: describeDue(due),
      withParameters
    })
    if (!answer) return
    const { verb, parameters } = answer
    if (verb === 'dry-run') await tryOut(row, parameters)
    else if (parameters) await waitForResult(row, 'run-with', parameters, 'run with parameters')
    else await runJob(row)
  }

  const runJob = async (row) => {
    asked.add(row.job.id)
    if (!(await send(pathOf(row, 'run'), `Run ${row.job.id}`))) {
      asked.delete(row.job.id)
      return
    }
    row.note = undefined
    row.showProgress('asked to run')
  }

  const waitForResult = async (row, verb, parameters, title, onSent) => {
    const action = `${verb === 'dry-run' ? 'Dry run' : 'Run'} ${row.job.id}`
    const result = await send(pathOf(row, verb), action, parameters, onSent)
    if (!result) return
    const { outcome, sentence, sample, runId } = result
    row.note = { outcome, title, text: sentence, sample, runId }
    announce(`${row.job.id}: ${sentence}`, outcome)
  }

  const changeAll = async (verb) => {
    const button = find(`${verb}-all`)
    button.disabled = true
    try {
      const answer = await send(`/api/jobs/${verb}-all`, `${verb === 'pause' ? 'Pause' : 'Resume'} all jobs`)
      if (!answer) return
      const { changed } = answer
      announce(
        changed.length === 0
          ? `No job had to be ${verb}d.`
          : `${changed.length} ${changed.length === 1 ? 'job is' : 'jobs are'} ${verb}d: ${changed.join(', ')}.`
      )
    } catch (error) {
      announce(error.message, 'failed')
    } finally {
      await refresh()
    }
  }
  for (const verb of ['pause', 'resume'])
    find(`${verb}-all`).addEventListener('click', () => void changeAll(verb))

  const makeRow = (job) => {
    const row = { job, cells: {}, buttons: {}, note: undefined, aside: element('div', { class: 'aside' }) }
    for (const name of ['next', 'state', 'last'])
      row.cells[name] = element('td', { 'data-label': labels[name] })
    row.cells.id = element('th', { scope: 'row' })
    row.cells.schedule = element('td', { 'data-label': labels.schedule })
    row.showProgress = (text) => {
      row.shown = undefined
      row.cells.last.replaceChildren(describeOutcome('running', text))
    }
    /** Shows something below the last outcome, which stays. */
    row.tell = (children) => {
      row.aside.replaceChildren(...children)
      if (!row.aside.isConnected) row.cells.last.append(row.aside)
    }
    const makeButton = (verb, text) => {
      row.buttons[verb] = element(
        'button',
        { type: 'button', 'aria-label': `${text} ${job.id}`, onclick: () => void act(row, verb) },
        text
      )
      return row.buttons[verb]
    }
    rows.set(job.id, row)
    return element(
      'tr',
      {},
      row.cells.id,
      row.cells.schedule,
      row.cells.next,
      row.cells.state,
      row.cells.last,
      element(
        'td',
        { class: 'actions', 'data-label': labels.actions },
        element(
          'div',
          { class: 'group', role: 'group', 'aria-label': `Actions of ${job.id}` },
          makeButton('dry-run', 'Dry run'),
          makeButton('run', 'Run'),
          makeButton('parameters', 'Parameters'),
          makeButton('pause', 'Pause'),
          makeButton('resume', 'Resume')
        )
      )
    )
  }

  const fill = (row, job) => {
    row.job = job
    const digest = JSON.stringify([job.description, job.isDeclared])
    if (row.digest !== digest) {
      row.digest = digest
      row.cells.id.replaceChildren(
        element('span', { class: 'name' }, job.id),
        ...(job.isDeclared ? [] : [element('span', { class: 'chip' }, 'made by hand')]),
        element('span', { class: 'about' }, job.description)
      )
    }
    const schedule = `${job.words} ${job.schedule}`
    if (row.schedule !== schedule) {
      row.schedule = schedule
      row.cells.schedule.replaceChildren(
        element('span', {}, job.words),
        element('code', { class: 'cron' }, job.schedule)
      )
    }
    if (row.state !== job.state) {
      row.state = job.state
      row.cells.state.replaceChildren(describeJobState(job))
    }
    swap(row.buttons.pause, job.state === 'ENABLED', row.buttons.resume)
    for (const verb of ['dry-run', 'parameters']) row.buttons[verb].hidden = !job.isDeclared
    row.buttons.run.parentElement.hidden = rules.leftOut?.actions !== undefined
    fillLast(row, job)
    tellNext(row)
  }

  const fillLast = (row, job) => {
    // Progress says more than the last outcome.
    if (row.isTrying || (job.isUnderWay && row.isProgressing)) return
    const digest = JSON.stringify([job.last, job.isUnderWay, row.note])
    if (row.shown === digest) return
    row.shown = digest
    row.cells.last.replaceChildren(...describeLast(row, job))
    if (row.note) row.tell(describeNote(row.note, job.id))
  }

  const describeLast = (row, { id, last, isUnderWay }) => {
    row.when = undefined
    if (isUnderWay) return [describeOutcome('running', 'under way')]
    if (!last) return [element('span', { class: 'note' }, 'never run')]
    const open = last.attempt ? () => openAttempt(last.attempt.id) : last.runId && (() => openRun(last.runId))
    row.when = element('span', { class: 'note' }, relative(last.at))
    return [
      element('span', { class: 'line' }, describeOutcome(last.outcome), row.when),
      describeSentence(last.sentence, open, `Last outcome of ${id}`)
    ]
  }

  const describeNote = ({ outcome, title, text, sample, runId }, id) => [
    describeOutcome(outcome, title),
    describeSentence(
      sample.length > 0 ? `${text} Such as ${sample.join(', ')}.` : text,
      runId && (() => openRun(runId)),
      `${title === 'dry run' ? 'Dry run' : 'Run with parameters'} of ${id}`
    )
  ]

  /** Updates the relative times. */
  const retell = () => {
    for (const row of rows.values()) {
      tellNext(row)
      if (row.when && row.job.last) setText(row.when, relative(row.job.last.at))
    }
  }

  return {
    refresh,
    retell,
    /** Sets the source's rules: what it demands, and what it can't do. */
    useRules: (system) => {
      rules = system
    },
    showAttempt: (attempt) => {
      const row = rows.get(attempt.job)
      if (!row) return
      row.isProgressing = attempt.outcome === 'running'
      if (attempt.outcome === 'running') {
        row.note = undefined
        row.showProgress(attempt.attemptNumber > 1 ? `attempt ${attempt.attemptNumber}` : 'under way')
      } else if (attempt.forced && asked.delete(attempt.job)) {
        void announceEnd(attempt)
      }
    },
    showRun: (run) => {
      const row = rows.get(run.job)
      if (!row || run.outcome !== 'running') return
      row.isProgressing = true
      row.showProgress(
        `${run.dryRun ? 'dry run' : 'under way'}: ${count(run.affected)} rows in ${run.batches} ${run.batches === 1 ? 'batch' : 'batches'}`
      )
    }
  }
}

/** Announces the end of an attempt: the worker tells its caller only that the run failed; the ledger knows why. */
const announceEnd = async ({ id, job, outcome, sentence }) => {
  const found = outcome === 'failed' ? await read(`/api/attempts/${id}`).catch(() => undefined) : undefined
  announce(`${job}: ${outcome}. ${found?.run?.error || sentence}`, outcome)
}

/** Counts the due rows; if that fails, returns an error, which the question then shows. */
const findDue = async (job) => {
  const { jobs } = await read(`/api/due${toQuery({ job })}`).catch(() => ({ jobs: [] }))
  return jobs[0] ?? { error: 'nobody can count' }
}

const describeDue = (due) =>
  due?.count === undefined
    ? 'How many rows are due can’t be counted now. What a run deletes is gone.'
    : `${count(due.count)} ${due.rows} of ${due.table} will be ${due.verb}, which nobody can undo.`

const labels = {
  id: 'Job',
  schedule: 'Schedule',
  next: 'Next run',
  state: 'State',
  last: 'Last outcome',
  actions: 'Actions'
}

const buildTable = (body) =>
  element(
    'table',
    { class: 'jobs cards', 'aria-labelledby': 'jobs-title' },
    element(
      'thead',
      {},
      element('tr', {}, ...Object.values(labels).map((label) => element('th', { scope: 'col' }, label)))
    ),
    body
  )

const describeJobState = ({ state }) => {
  const isOn = state === 'ENABLED'
  if (state === 'UNKNOWN') return element('span', { class: 'note' }, 'unknown')
  return element(
    'span',
    { class: `mark ${isOn ? 'on' : 'off'}` },
    element('span', { class: 'glyph', 'aria-hidden': 'true' }, isOn ? '●' : '‖'),
    element('span', {}, state.toLowerCase())
  )
}

const tellNext = (row) => {
  const { next } = row.job
  const texts = next
    ? [relative(next), `${wallClock(next)} ${zoneAt(next)}`, utc(next)]
    : row.job.state === 'UNKNOWN'
      ? ['unknown', '', '']
      : ['none', 'resume it to fire again', '']
  row.next ??= [element('strong'), element('span', { class: 'sub' }), element('span', { class: 'sub' })]
  if (!row.next[0].isConnected) row.cells.next.replaceChildren(...row.next)
  for (const [index, text] of texts.entries()) setText(row.next[index], text)
}

/** Shows or hides a button, does the opposite to the other, and moves the focus off the hidden one. */
const swap = (button, isShown, other) => {
  const isFocused = document.activeElement === (isShown ? other : button)
  button.hidden = !isShown
  other.hidden = isShown
  if (isFocused) (isShown ? button : other).focus()
}

const describeSentence = (text, open, label) =>
  open
    ? element(
        'button',
        { type: 'button', class: 'link', 'aria-label': `${label}: ${text || 'details'}`, onclick: open },
        text || 'details'
      )
    : element('span', { class: 'sub' }, text)
