import { announce } from './announcement.js'
import { element, find, setText } from './element.js'
import { ask, read } from './request.js'
import {
  dayOf,
  now,
  timeOfDay,
  useClock,
  useTimeZone,
  utc,
  wallClock,
  zoneAt,
  zoneName
} from './time-text.js'

const steps = [
  { text: '+5 min', seconds: 300 },
  { text: '+1 h', seconds: 3_600 },
  { text: '+6 h', seconds: 21_600 },
  { text: '+1 day', seconds: 86_400 }
]
const speeds = [1, 60, 600, 3_600]
const playEvery = 1_000

/**
 * The time in the page's header and, if time is virtual, the controls that move it.
 *
 * @param {() => void} onJump called after a jump, which fires no ticks.
 */
export const createClock = (onJump) => {
  let isVirtual = false
  let isBuilt = false
  let playing
  const parts = {}

  const tick = () => {
    const at = now()
    setText(
      find('face'),
      `${wallClock(at, { seconds: true, year: true })} ${zoneAt(at)}, ${utc(at)}${isVirtual ? ', virtual' : ''}`
    )
  }

  const move = async (path, body) => {
    parts.busy.hidden = false
    for (const button of parts.moving) button.disabled = true
    try {
      take(await ask(path, body))
      return true
    } catch (error) {
      announce(error.message, 'failed')
      return false
    } finally {
      parts.busy.hidden = true
      for (const button of parts.moving) button.disabled = Boolean(playing)
    }
  }

  const advance = async (seconds) => {
    if (await move('/api/clock/advance', { seconds }))
      announce(`It is now ${wallClock(now())} in ${zoneName()}.`)
  }

  const play = () => {
    playing = new AbortController()
    parts.play.textContent = 'Stop'
    parts.play.setAttribute('aria-pressed', 'true')
    void playOn(playing.signal, performance.now())
  }

  const playOn = async (signal, from) => {
    await new Promise((resolve) => setTimeout(resolve, playEvery))
    if (signal.aborted) return
    const at = performance.now()
    // Never more than two seconds' worth at once: if the ticks take longer, time slows down.
    const seconds = Math.max(Math.round(Math.min((at - from) / 1000, 2) * Number(parts.speed.value)), 1)
    const isDone = await move('/api/clock/advance', { seconds })
    if (signal.aborted) return
    if (isDone) void playOn(signal, at)
    else stop()
  }

  const stop = () => {
    playing.abort()
    playing = undefined
    parts.play.textContent = 'Play'
    parts.play.setAttribute('aria-pressed', 'false')
    for (const button of parts.moving) button.disabled = false
  }

  const jump = async () => {
    if (!(await move('/api/clock/jump', {}))) return
    announce(`It is now ${wallClock(now())} in ${zoneName()}. The ticks in between were not fired.`)
    onJump()
  }

  const build = () => {
    parts.busy = element('span', { class: 'note', role: 'status' }, 'firing what is due on the way')
    parts.busy.hidden = true
    parts.play = element(
      'button',
      { type: 'button', 'aria-pressed': 'false', onclick: () => (playing ? stop() : play()) },
      'Play'
    )
    parts.speed = element(
      'select',
      { 'aria-label': 'Speed' },
      ...speeds.map((speed) => element('option', { value: speed }, speedText(speed)))
    )
    parts.speed.value = '600'
    parts.jump = element(
      'button',
      { type: 'button', onclick: () => void jump() },
      'Jump to the next daylight-saving night'
    )
    parts.steps = steps.map(({ text, seconds }) =>
      element('button', { type: 'button', onclick: () => void advance(seconds) }, text)
    )
    parts.moving = [...parts.steps, parts.jump]
    parts.night = element('p', { class: 'note night' })
    find('clock').replaceChildren(
      element(
        'div',
        { class: 'heading' },
        element('h2', { id: 'clock-title' }, 'Virtual clock'),
        element('p', { class: 'note' }, 'It stands still until it is moved; every tick on the way is fired.'),
        parts.busy
      ),
      element(
        'div',
        { class: 'controls' },
        element('div', { class: 'group', role: 'group', 'aria-label': 'Advance' }, ...parts.steps),
        element('div', { class: 'group', role: 'group', 'aria-label': 'Play' }, parts.play, parts.speed),
        element('div', { class: 'jump' }, parts.jump, parts.night)
      )
    )
    isBuilt = true
  }

  const take = ({ now: at, virtual, timeZone, night }) => {
    isVirtual = virtual
    useTimeZone(timeZone)
    useClock(at, virtual)
    find('clock').hidden = !virtual
    if (virtual) {
      if (!isBuilt) build()
      parts.jump.hidden = !night
      setText(parts.night, night ? describeNight(night) : 'This time zone has no daylight saving.')
    }
    tick()
  }

  return {
    refresh: async () => {
      const clock = await read('/api/clock').catch(() => undefined)
      if (clock) take(clock)
    },
    show: (at) => {
      useClock(at, true)
      tick()
    },
    tick
  }
}

const speedText = (speed) =>
  speed === 1 ? 'real time' : speed < 3_600 ? `${speed / 60} min a second` : '1 h a second'

const describeNight = ({ at, shiftMinutes, jumpTo, affected }) => {
  const what = shiftMinutes > 0 ? 'the clock goes forward' : 'the clock goes back'
  const ticks = affected.map(({ job, effect, wallClock: wall }) => `${job} at ${wall.slice(11)} is ${effect}`)
  return (
    `${dayOf(at)}: ${what}${ticks.length > 0 ? `; ${ticks.join(', ')}` : '; no job is affected'}. ` +
    `Goes to ${timeOfDay(jumpTo)} and skips the ticks in between.`
  )
}
