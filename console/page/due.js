import { describeFault, describeState, element, find, setText } from './element.js'
import { read } from './request.js'
import { count } from './time-text.js'

const shownIds = 1

/** The rows due in each table, by the jobs' own rules. */
export const createDue = () => {
  let shown
  let reason

  const refresh = async () => {
    if (reason !== undefined) return
    try {
      const { at, jobs } = await read('/api/due')
      setText(
        find('due-note'),
        `counted at ${new Date(at).toLocaleTimeString('en-AU', { hourCycle: 'h23' })} by the database's clock`
      )
      const digest = JSON.stringify(jobs)
      if (digest !== shown) find('due').replaceChildren(buildTable(jobs))
      shown = digest
    } catch (error) {
      if (!shown) find('due').replaceChildren(describeFault('Nothing can be counted.', error))
    }
  }
  find('due-again').addEventListener('click', () => void refresh())
  return {
    refresh,
    /** Says why there is no count if the source can't provide one. */
    leaveOut: (why) => {
      reason = why
      find('due-again').hidden = why !== undefined
      if (why !== undefined) find('due').replaceChildren(describeState('Not counted here.', why))
    }
  }
}

const buildTable = (jobs) =>
  element(
    'table',
    { class: 'due', 'aria-labelledby': 'due-title' },
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        element('th', { scope: 'col' }, 'Table'),
        element('th', { scope: 'col', class: 'number' }, 'Due rows'),
        element('th', { scope: 'col', class: 'ids' }, 'Such as')
      )
    ),
    element('tbody', {}, ...jobs.map(makeRow))
  )

const makeRow = ({ job, table, rows, count: number, sample, error }) =>
  element(
    'tr',
    {},
    element(
      'th',
      { scope: 'row' },
      element('code', {}, ...breakable(table)),
      element('span', { class: 'sub' }, job)
    ),
    element(
      'td',
      { class: 'number' },
      element('strong', {}, number === undefined ? 'unknown' : count(number)),
      element('span', { class: 'sub' }, rows)
    ),
    element('td', { class: 'note ids' }, error ?? describeSample(number, sample))
  )

/** Lets a name wrap only at its underscores. */
const breakable = (name) =>
  name.split('_').flatMap((part, index) => (index === 0 ? [part] : ['_', element('wbr'), part]))

const describeSample = (number, sample) =>
  number === 0 ? 'nothing' : `${sample.slice(0, shownIds).join(', ')}${number > shownIds ? ', …' : ''}`
