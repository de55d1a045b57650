import { announce, showTrouble } from './announcement.js'
import { createAttention } from './attention.js'
import { createCharts } from './charts.js'
import { createClock } from './clock.js'
import { createDetails } from './details.js'
import { createDue } from './due.js'
import { element, find, setText } from './element.js'
import { createFreshness } from './freshness.js'
import { createHistory } from './history.js'
import { createJobs } from './jobs.js'
import { listen } from './live.js'
import { describePart, describeRestart, read, useRestart } from './request.js'
import { startThemeSwitch } from './theme-switch.js'
import { createWeek } from './week.js'

const details = createDetails(find('details'))
const clock = createClock(() => void refreshAll())
const jobs = createJobs({
  confirmation: find('confirmation'),
  onChange: (list) => shareJobs(list),
  openRun: details.openRun,
  openAttempt: details.openAttempt
})
const attention = createAttention()
const week = createWeek({ openTicks: details.openTicks })
const charts = createCharts()
const due = createDue()
const freshness = createFreshness()
const history = createHistory({ openRun: details.openRun, openAttempt: details.openAttempt })

/** Delays an action, so that it runs once for a burst of events. */
const soon = (action, wait) => {
  let timer
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined
      void action()
    }, wait)
  }
}

const shareJobs = (list) => {
  charts.useJobs(list)
  history.useJobs(list)
}

const refreshAll = async () => {
  // The clock first: all other times depend on it. Parts that the source leaves out are not requested.
  await Promise.all([clock.refresh(), showSystem()])
  await Promise.all([
    attention.refresh(),
    jobs.refresh(),
    week.refresh(),
    history.refresh(),
    due.refresh(),
    charts.refresh(),
    freshness.refresh()
  ])
}

const showSystem = async () => {
  const system = await read('/api/system').catch(() => undefined)
  if (!system) return
  jobs.useRules(system)
  due.leaveOut(system.leftOut?.due)
  attention.leaveOut(system.leftOut?.troubles)
  useRestart(system.restart)
  find('stage').hidden = false
  setText(find('stage'), system.stage)
  document.title = `Scheduled jobs, ${system.stage}`
  find('addresses').replaceChildren(
    'Scheduler API ',
    element('code', {}, system.schedulerUrl),
    ', worker ',
    element('code', {}, system.workerUrl),
    ', project ',
    element('code', {}, system.project),
    ', region ',
    element('code', {}, system.region)
  )
}

const attentionSoon = soon(attention.refresh, 800)
const jobsSoon = soon(jobs.refresh, 150)
const historySoon = soon(history.refreshIfLatest, 300)
const weekSoon = soon(week.refresh, 800)
const dueSoon = soon(due.refresh, 800)
const chartsSoon = soon(charts.refresh, 800)

const afterEnd = ({ outcome }) => {
  jobsSoon()
  historySoon()
  weekSoon()
  if (outcome === 'running') return
  dueSoon()
  chartsSoon()
  attentionSoon()
}

let connection = 'connecting'
/** Connected, but a part, such as the database, can't be read. */
let isPartial = false

const showConnection = (state) => {
  // On each connection, the server reports ongoing trouble again.
  if (state === 'live' && connection !== 'live') isPartial = false
  const texts = { live: 'live', partial: describePart(), lost: 'not connected' }
  const place = find('connection')
  const shown = state === 'live' && isPartial ? 'partial' : state
  place.dataset.state = shown
  setText(place, texts[shown] ?? shown)
  if (state === 'lost' && connection !== 'lost') {
    showTrouble(`Not connected: ${describeRestart()}`)
  }
  if (state === 'live' && connection !== 'live') {
    showTrouble('')
    if (connection === 'lost') announce('Connected again.')
  }
  connection = state
}

startThemeSwitch(find('theme'), () => charts.redraw())
listen(
  {
    // On every connection: events in between were missed.
    hello: () => void refreshAll(),
    attempt: (attempt) => {
      jobs.showAttempt(attempt)
      afterEnd(attempt)
    },
    run: (run) => {
      jobs.showRun(run)
      afterEnd(run)
    },
    jobs: () => {
      jobsSoon()
      weekSoon()
      attentionSoon()
    },
    clock: ({ now }) => {
      clock.show(now)
      jobs.retell()
      weekSoon()
      attentionSoon()
    },
    freshness: freshness.show,
    trouble: ({ message }) => {
      isPartial = message !== ''
      showTrouble(message)
      showConnection(connection)
      // Once the trouble is over, everything can be read again.
      if (isPartial) attentionSoon()
      else void refreshAll()
    }
  },
  showConnection
)
setInterval(() => {
  clock.tick()
  freshness.retell()
  jobs.retell()
}, 1_000)
