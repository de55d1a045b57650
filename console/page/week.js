import { describeFault, element, find, reconcile, setText } from './element.js'
import { describeOutcome, glyphs, meanings } from './outcome.js'
import { read, toQuery } from './request.js'
import { dayOf, longDayOf, relative, timeOfDay, wallClock, zoneAt, zoneName } from './time-text.js'

const hour = 3_600_000
const order = ['failed', 'missed', 'incomplete', 'running', 'skipped', 'completed', 'none', 'due']

/**
 * The week: one row per job, one cell per day, one bar per hour.
 *
 * @param {{ openTicks: (job: string, from: string, until: string) => void }} options
 */
export const createWeek = ({ openTicks }) => {
  let start
  let shown
  let grid
  let isEmpty = false

  const refresh = async () => {
    try {
      show(await read(`/api/week${toQuery({ start })}`))
    } catch (error) {
      if (!shown) find('week').replaceChildren(describeFault('The week can’t be shown.', error))
    }
  }

  const show = (week) => {
    shown = week
    const { days, jobs, nights } = week
    setText(find('week-span'), `${dayOf(days[0].from)} to ${dayOf(days.at(-1).from)}, ${zoneName()} time`)
    find('week-now').disabled = start === undefined
    const advice = describeEmptiness(week)
    setText(find('week-advice'), advice ?? '')
    find('week-advice').hidden = advice === undefined
    // If nothing has run, no tick has a record: the advice says so once, instead of a mark on each tick.
    isEmpty = advice !== undefined
    find('week').classList.toggle('empty', isEmpty)
    if (!grid) {
      grid = element('div', {
        class: 'week',
        role: 'grid',
        'aria-labelledby': 'week-title',
        onkeydown: (event) => moveFocus(event, grid)
      })
      find('week').replaceChildren(grid)
    }
    const lines = [{ id: '' }, ...jobs]
    reconcile(grid, lines, {
      key: ({ id }) => id,
      digest: ({ id }) => (id === '' ? JSON.stringify([days, nights]) : ''),
      make: (line) => (line.id === '' ? makeHead(days, nights) : makeLine(line))
    })
    for (const [index, job] of jobs.entries()) fillLine(grid.children[index + 1], job, week)
    if (!grid.querySelector('[tabindex="0"]')) grid.querySelector('.day')?.setAttribute('tabindex', '0')
  }

  const fillLine = (line, job, week) => {
    const cells = week.days.map((day) => describeDay(job, day, week, isEmpty))
    reconcile(line.querySelector('.days'), cells, {
      key: ({ day }) => day.date,
      digest: ({ label, nowAt }) => `${label} ${nowAt ?? ''}`,
      make: (cell) => makeDay(cell, () => openTicks(job.id, cell.day.from, cell.day.until))
    })
  }

  const go = (weeks) => {
    start = addDays(shown?.days[0].date ?? new Date().toISOString().slice(0, 10), weeks * 7)
    void refresh()
  }
  find('week-before').addEventListener('click', () => go(-1))
  find('week-after').addEventListener('click', () => go(1))
  find('week-now').addEventListener('click', () => {
    start = undefined
    void refresh()
  })
  find('week-key').replaceChildren(
    ...['completed', 'incomplete', 'failed', 'missed', 'skipped', 'none', 'due'].map((state) =>
      element(
        'li',
        {},
        element('span', { class: `bar ${state}`, 'aria-hidden': 'true' }),
        describeOutcome(state, meanings[state])
      )
    ),
    element('li', {}, element('span', { class: 'outcome' }, '◆ run by hand'))
  )

  return { refresh }
}

/** The advice for a week without any record; undefined if there is something to see. */
const describeEmptiness = ({ jobs, now, days, next }) => {
  const cells = jobs.flatMap((job) => job.cells)
  const states = cells.flatMap(({ counts, byHand }) => [...Object.keys(counts), ...Object.keys(byHand)])
  if (states.some((state) => state !== 'none' && state !== 'due')) return undefined
  const [from, until] = [days[0].from, days.at(-1).until]
  if (Date.parse(until) <= Date.parse(now))
    return 'Nothing has run in this week: it is before the first run that is kept, or the system was not running.'
  // A future week is worth showing.
  if (Date.parse(from) > Date.parse(now)) return undefined
  return next
    ? `Nothing has run in this week yet. The first tick comes ${relative(next.at)}: ${next.job}, ${wallClock(next.at)} ${zoneAt(next.at)}. Runs by hand are shown here, too.`
    : 'Nothing has run in this week yet, and every job is paused: no tick will come until one is resumed.'
}

const makeHead = (days, nights) =>
  element(
    'div',
    { role: 'row', class: 'line head' },
    element('span', { role: 'columnheader', class: 'label' }, 'Job'),
    element(
      'div',
      { class: 'days', role: 'presentation' },
      ...days.map((day) => {
        const night = findNight(nights, day)
        const text = element(
          'span',
          { role: 'columnheader', class: night ? 'date changes' : 'date' },
          element('span', {}, dayOf(day.from)),
          night &&
            element('span', { class: 'shift' }, night.shiftMinutes > 0 ? 'clock forward' : 'clock back')
        )
        return text
      })
    )
  )

const makeLine = ({ id }) =>
  element(
    'div',
    { role: 'row', class: 'line' },
    element('span', { role: 'rowheader', class: 'label' }, id),
    element('div', { class: 'days', role: 'presentation' })
  )

/** Everything that a day's cell shows. */
const describeDay = (job, day, { nights, now }, isEmpty) => {
  const [from, until] = [Date.parse(day.from), Date.parse(day.until)]
  const hours = job.cells.filter(({ at }) => at >= day.from && at < day.until)
  const totals = sum(hours.map(({ counts }) => counts))
  const byHand = sum(hours.map((cell) => cell.byHand))
  const night = findNight(nights, day)
  const special = night?.affected.filter((tick) => tick.job === job.id) ?? []
  const words = order
    .filter((state) => totals[state] && !(isEmpty && state === 'none'))
    .map(
      (state) =>
        `${totals[state]} ${state === 'due' ? 'to come' : state === 'none' ? 'of which nothing is known' : state}`
    )
  const hand = order.filter((state) => byHand[state]).map((state) => `${byHand[state]} ${state}`)
  const label = [
    `${job.id}, ${longDayOf(day.from)}: ${words.join(', ') || 'no tick'}`,
    ...(hand.length > 0 ? [`by hand ${hand.join(', ')}`] : []),
    ...(night
      ? [`daylight saving ${night.shiftMinutes > 0 ? 'begins' : 'ends'} at ${timeOfDay(night.at)}`]
      : []),
    ...special.map((tick) => `${tick.wallClock.slice(11)} is ${tick.effect}`)
  ].join('; ')
  const at = Date.parse(now)
  return {
    day,
    hours,
    totals,
    byHand,
    night,
    special,
    label,
    length: Math.round((until - from) / hour),
    // Rounded to the hour: each change rebuilds the cell.
    nowAt: at >= from && at < until ? Math.floor((at - from) / hour) : undefined
  }
}

const makeDay = ({ day, hours, totals, byHand, night, special, label, length, nowAt }, open) => {
  const from = Date.parse(day.from)
  const columnOf = (at) => String(Math.floor((Date.parse(at) - from) / hour) + 1)
  const hands = hours.flatMap((cell) => {
    const [worst] = order.filter((state) => cell.byHand[state])
    if (!worst) return []
    const dot = element('span', {
      class: `hand ${worst}`,
      title: `${timeOfDay(cell.at)}: by hand, ${meanings[worst]}`
    })
    dot.style.gridColumn = columnOf(cell.at)
    return [dot]
  })
  const bars = hours.flatMap(({ at, counts }) => {
    const states = order.filter((state) => counts[state])
    if (states.length === 0) return []
    const bar = element('span', {
      class: `bar ${states[0]}${states.length > 1 ? ' mixed' : ''}`,
      title: `${timeOfDay(at)}: ${states.map((state) => `${counts[state]} ${meanings[state]}`).join(', ')}`
    })
    bar.style.gridColumn = columnOf(at)
    return [bar]
  })
  const mark = (kind, column) => {
    const line = element('span', { class: kind })
    line.style.gridColumn = String(column)
    return line
  }
  const strip = element(
    'span',
    { class: 'strip', 'aria-hidden': 'true' },
    night && mark('change', Math.floor((Date.parse(night.at) - from) / hour) + 1),
    nowAt !== undefined && mark('now', nowAt + 1),
    ...bars,
    ...hands
  )
  strip.style.gridTemplateColumns = `repeat(${length}, minmax(0, 1fr))`
  const caption = order.filter((state) => totals[state] && state !== 'due' && state !== 'none')
  const hand = Object.values(byHand).reduce((total, number) => total + number, 0)
  return element(
    'button',
    {
      type: 'button',
      role: 'gridcell',
      class: night ? 'day changes' : 'day',
      tabindex: '-1',
      onclick: open
    },
    element('span', { class: 'unseen' }, label),
    strip,
    element(
      'span',
      { class: 'caption', 'aria-hidden': 'true' },
      ...caption.map((state) =>
        element('span', { class: `count ${state}` }, `${totals[state]} ${glyphs[state]}`)
      ),
      hand > 0 && element('span', { class: 'count' }, `${hand} ◆`),
      ...special.map((tick) =>
        element('span', { class: 'count shifted' }, `${tick.wallClock.slice(11)} ${tick.effect}`)
      )
    )
  )
}

const sum = (counts) => {
  const totals = {}
  for (const [state, number] of counts.flatMap((one) => Object.entries(one))) {
    totals[state] = (totals[state] ?? 0) + number
  }
  return totals
}

const findNight = (nights, day) => nights.find(({ at }) => at >= day.from && at < day.until)

/** The grid is one tab stop; the arrow keys go from cell to cell. */
const moveFocus = (event, grid) => {
  const lines = [...grid.querySelectorAll('.line:not(.head)')].map((line) => [
    ...line.querySelectorAll('.day')
  ])
  const row = lines.findIndex((cells) => cells.includes(document.activeElement))
  if (row < 0) return
  const column = lines[row].indexOf(document.activeElement)
  const moves = {
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    Home: [row, 0],
    End: [row, lines[row].length - 1]
  }
  const move = moves[event.key]
  if (!move) return
  event.preventDefault()
  const target = lines[move[0]]?.[move[1]]
  if (!target) return
  grid.querySelector('[tabindex="0"]')?.setAttribute('tabindex', '-1')
  target.setAttribute('tabindex', '0')
  target.focus()
}

const addDays = (date, days) =>
  new Date(Date.parse(`${date}T00:00:00Z`) + days * 24 * hour).toISOString().slice(0, 10)
