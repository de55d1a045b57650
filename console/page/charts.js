import uPlot from '../uplot/uPlot.esm.js'
import { describeFault, describeState, element, find, setText } from './element.js'
import { read } from './request.js'
import { count, dayOf, duration, timeOfDay, wallClock } from './time-text.js'

const height = matchMedia('(width < 600px)').matches ? 150 : 260
const wholeSteps = Array.from({ length: 12 }, (_, power) =>
  [1, 2, 5].map((step) => step * 10 ** power)
).flat()
// Half an hour on either side of a single run.
const loneMargin = 1_800

/** Rows and duration of a job's last runs. */
export const createCharts = () => {
  const select = find('charts-job')
  let points = []
  let plots = []
  let timeZone = 'UTC'
  let drawn = ''
  let isChosen = false

  const refresh = async () => {
    if (!select.value) return
    try {
      ;({ points } = await read(`/api/jobs/${encodeURIComponent(select.value)}/points`))
      points.sort((a, b) => (a.at < b.at ? -1 : 1))
      // Also called when other jobs' runs end: an unchanged chart keeps its cursor and is not redrawn.
      const digest = JSON.stringify([select.value, timeZone, points])
      if (digest !== drawn) draw()
      drawn = digest
    } catch (error) {
      if (points.length > 0) return
      drawn = ''
      clear(describeFault('The charts can’t be shown.', error))
    }
  }

  const clear = (...children) => {
    for (const one of plots) one.destroy()
    plots = []
    find('charts').replaceChildren(...children)
  }

  const draw = () => {
    setText(find('charts-summary'), summarize(points))
    if (points.length === 0) {
      return clear(
        describeState(
          `${select.value} has no finished run.`,
          'Press Run in the table of jobs, or wait for its next tick.'
        )
      )
    }
    const frames = [
      element(
        'figure',
        { role: 'img', 'aria-label': `Rows a run: ${summarize(points)}` },
        element('figcaption', {}, 'Rows')
      ),
      element(
        'figure',
        { role: 'img', 'aria-label': `Duration a run: ${summarize(points)}` },
        element('figcaption', {}, 'Duration')
      )
    ]
    // Read before the page changes: afterwards the browser would lay out the whole page to compute a colour.
    const colours = ['--muted', '--line', '--accent', '--failed', '--incomplete'].map((name) =>
      findColour(find('charts'), name)
    )
    clear(...frames)
    const times = points.map(({ at }) => Date.parse(at) / 1000)
    /** One series for each colour of dots: runs that failed, and runs with failed rows. */
    const trouble = (valueOf) => [
      points.map((point) => (isFailed(point) ? valueOf(point) : null)),
      points.map((point) => (point.outcome === 'incomplete' ? valueOf(point) : null))
    ]
    plots = [
      plot(
        frames[0],
        times,
        points.map(({ affected }) => affected),
        trouble(({ affected }) => affected),
        (value) => count(Math.round(value)),
        true,
        colours
      ),
      plot(
        frames[1],
        times,
        points.map(({ durationMs }) => durationMs),
        trouble(({ durationMs }) => durationMs),
        (value) => duration(Math.round(value)),
        false,
        colours
      )
    ]
  }

  const plot = (frame, times, values, trouble, format, isBars, [ink, line, accent, ...dots]) => {
    const readout = element('p', { class: 'readout' }, '')
    const font = '11px system-ui, sans-serif'
    const axis = {
      stroke: ink,
      font,
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1, size: 4 }
    }
    const made = new uPlot(
      {
        width: Math.max(frame.clientWidth, 240),
        height,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timeZone),
        legend: { show: false },
        cursor: { y: false, points: { size: 6 } },
        scales: {
          x: {
            // For a single instant, uPlot would show a day that begins there.
            range: (_plot, from, to) =>
              times.length === 1 ? [times[0] - loneMargin, times[0] + loneMargin] : [from, to]
          },
          y: { range: (_plot, _low, high) => [0, Math.max(high, 1) * 1.1] }
        },
        axes: [
          {
            ...axis,
            space: 80,
            // Labels a single run with its instant, not with minutes around it.
            ...(times.length === 1
              ? { splits: () => times, values: () => [wallClock(points[0].at)] }
              : { values: describeTimes })
          },
          // Rows and milliseconds are whole numbers: no ticks between 0 and 1.
          { ...axis, size: 64, incrs: wholeSteps, values: (_plot, ticks) => ticks.map(format) }
        ],
        series: [
          {},
          {
            stroke: accent,
            width: 1.5,
            ...(isBars
              ? { fill: accent, paths: uPlot.paths.bars({ size: [0.7, 14, 2] }), points: { show: false } }
              : { points: { show: points.length < 60, size: 4 } })
          },
          ...dots.map((colour) => ({
            stroke: colour,
            fill: colour,
            paths: () => null,
            points: { show: true, size: 7, stroke: colour, fill: colour }
          }))
        ],
        hooks: {
          setCursor: [
            ({ cursor: { idx } }) => {
              const point = points[idx ?? -1]
              setText(
                readout,
                point ? `${wallClock(point.at)}: ${format(values[idx])}${describeTrouble(point)}` : ''
              )
            }
          ]
        }
      },
      [times, values, ...trouble],
      frame
    )
    frame.append(readout)
    return made
  }

  select.addEventListener('change', () => {
    isChosen = true
    void refresh()
  })
  new ResizeObserver(() => {
    for (const one of plots) {
      const width = one.root.parentElement.clientWidth
      if (width > 0 && Math.abs(width - one.width) > 1) one.setSize({ width, height })
    }
  }).observe(find('charts'))

  return {
    refresh,
    redraw: draw,
    useJobs: (jobs) => {
      timeZone = jobs[0]?.timeZone ?? timeZone
      const declared = jobs.filter((job) => job.isDeclared)
      // Chooses again if the database was missing: no job had a last run to choose by.
      const isSettled = select.length === declared.length && (isChosen || points.length > 0)
      if (isSettled) return
      const before = isChosen || points.length > 0 ? select.value : ''
      // A job whose last run changed rows has something to show.
      const telling = declared.find(({ last }) => last?.affected > 0)
      const next = before || (telling ?? declared[0])?.id || ''
      if (select.length !== declared.length)
        select.replaceChildren(...declared.map(({ id }) => element('option', { value: id }, id)))
      else if (select.value === next) return
      select.value = next
      void refresh()
    }
  }
}

/** Labels of a time axis: the day at each midnight, or everywhere if the labels are days apart; otherwise the time. */
const describeTimes = (_plot, ticks, _axis, _space, step) =>
  ticks.map((seconds) => {
    const time = timeOfDay(seconds * 1000)
    return step >= 86_400 || time === '00:00' ? dayOf(seconds * 1000) : time
  })

const isFailed = ({ outcome }) => outcome !== 'completed' && outcome !== 'incomplete'

const describeTrouble = (point) => {
  if (isFailed(point)) return `, ${point.outcome}`
  return point.failed > 0 ? `, ${count(point.failed)} failed` : ''
}

const summarize = (points) => {
  if (points.length === 0) return ''
  const failed = points.filter(isFailed).length
  const incomplete = points.filter(({ outcome }) => outcome === 'incomplete').length
  const rows = points.reduce((sum, { affected }) => sum + affected, 0)
  const longest = Math.max(...points.map(({ durationMs }) => durationMs))
  return `${points.length === 1 ? '1 run' : `the last ${points.length} runs`}: ${count(rows)} rows, the longest ${duration(longest)}, ${failed === 0 ? 'none' : failed} failed${incomplete === 0 ? '' : `, ${incomplete} with rows that failed`}`
}

/** A colour of the theme in a form that the canvas understands: the custom property itself is uncomputed text. */
const findColour = (place, name) => {
  const probe = element('span')
  probe.style.color = `var(${name})`
  place.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}
