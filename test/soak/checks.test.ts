import { describe, expect, it } from 'vitest'
import { checkEvidence } from './checks.ts'
import type { Evidence } from './evidence.ts'

const counts = { affected: 3, failed: 1 }
const sound: Evidence = {
  ticks: ['a 1', 'a 2', 'a 3', 'a 4'],
  deliveries: [
    { tick: 'a 1', outcome: 'failed' },
    { tick: 'a 1', outcome: 'succeeded' },
    { tick: 'a 2', outcome: 'succeeded' },
    { tick: 'a 3', outcome: 'unreachable' }
  ],
  ledger: [
    { tick: 'a 1', state: 'abandoned' },
    { tick: 'a 1', state: 'completed' },
    { tick: 'a 2', state: 'skipped' },
    { tick: 'a 3', state: 'missed' },
    { tick: 'a 4', state: 'missed' }
  ],
  overdueRows: [{ job: 'a', key: 'held' }],
  lockedKeys: ['held'],
  badChanges: [],
  recorded: { a: counts },
  changed: { a: counts }
}
const faultsOf = (changes: Partial<Evidence>): string[] =>
  checkEvidence({ ...sound, ...changes }).flatMap(({ faults }) => faults)
const without = (tick: string) => sound.ledger.filter((row) => row.tick !== tick)

describe('the checks of a soak', () => {
  it('find nothing wrong where a tick failed, was skipped, never reached the worker, and a row is held', () => {
    expect(faultsOf({})).toEqual([])
  })

  it.each<[string, Partial<Evidence>, string]>([
    [
      'a tick that is in no list',
      { ledger: without('a 4') },
      'a 4 was not delivered, and the watch does not say so'
    ],
    [
      'a tick that never was',
      { ledger: [...sound.ledger, { tick: 'b 9', state: 'completed' }] },
      'b 9 is no tick'
    ],
    [
      'a tick that is called missed and ran',
      { ledger: [...sound.ledger, { tick: 'a 1', state: 'missed' }] },
      'a 1 is called missed, and was answered well'
    ],
    [
      'a missed tick that is there twice',
      { ledger: [...sound.ledger, { tick: 'a 3', state: 'missed' }] },
      'a tick is called missed twice'
    ],
    [
      'an answer without a run',
      { ledger: [...without('a 2'), { tick: 'a 2', state: 'failed' }] },
      'a 2 was answered well, and is there as failed'
    ],
    [
      'a tick with two effects',
      { ledger: [...sound.ledger, { tick: 'a 1', state: 'completed' }] },
      'a 1 completed more than once'
    ],
    [
      'a run that never ends',
      { ledger: [...sound.ledger, { tick: 'a 1', state: 'running' }] },
      'a 1 is still running'
    ],
    ['a row that is left', { overdueRows: [{ job: 'a', key: 'left' }] }, 'left is left by a'],
    [
      'a live row that was changed',
      { badChanges: [{ what: 'session deleted', key: 'x', fault: 'it expires later' }] },
      'session deleted: x, but it expires later'
    ],
    [
      'a change that is not recorded',
      { changed: { a: { affected: 4, failed: 1 } } },
      'a recorded 3 and 1 failed, and changed 4 and 1 failed'
    ],
    [
      'a failure that is not recorded',
      { changed: { a: { affected: 3, failed: 2 } } },
      'a recorded 3 and 1 failed, and changed 3 and 2 failed'
    ],
    ['a job that recorded nothing', { recorded: {} }, 'a recorded 0 and 0 failed, and changed 3 and 1 failed']
  ])('find %s', (_what, changes, fault) => {
    expect(faultsOf(changes)).toContain(fault)
  })
})
