import { describe, expect, it } from 'vitest'
import { defineCatalogue, defineJob, endpointOf, type JobDefinition } from '../../jobs/define-job.ts'

const valid: JobDefinition = {
  id: 'count-rows',
  schedule: '*/5 * * * *',
  description: 'Count rows.',
  attemptDeadline: 300,
  rows: ['row', 'rows'],
  verb: 'counted',
  maxRows: 1,
  selection: () => ({ from: 'rows', time: 'at', key: 'id', keyType: 'bigint', due: 'at < $1' }),
  work: 'delete'
}

describe('defineJob', () => {
  it.each<[string, Partial<JobDefinition>]>([
    ['an id of one letter', { id: 'a' }],
    ['an id with digits', { id: 'purge-s3-files2' }],
    ['an id of 60 characters', { id: 'a'.repeat(60) }],
    ['a description of 500 characters', { description: 'x'.repeat(500) }],
    ['the shortest deadline', { attemptDeadline: 15 }],
    ['the longest deadline', { attemptDeadline: 1_800, schedule: '*/30 * * * *' }],
    ['a deadline as long as the period', { attemptDeadline: 600, schedule: '*/10 * * * *' }]
  ])('takes %s', (_what, change) => {
    expect(defineJob({ ...valid, ...change })).toMatchObject(change)
  })

  it.each<[Partial<JobDefinition>, string]>([
    [{ id: '' }, "job '': id must be lower-case words with hyphens, at most 60 characters, got ''"],
    [{ id: 'Clear' }, "job 'Clear': id must be lower-case words with hyphens"],
    [{ id: 'a--b' }, "job 'a--b': id must be"],
    [{ id: '-a' }, "job '-a': id must be"],
    [{ id: '1a' }, "job '1a': id must be"],
    [{ id: 'a/../b' }, "job 'a/../b': id must be"],
    [{ id: 'a\n' }, "job 'a\n': id must be"],
    [{ id: 'a'.repeat(61) }, `job '${'a'.repeat(61)}': id must be`],
    [{ schedule: '0 2 * *' }, "job 'count-rows': schedule must have 5 fields, got '0 2 * *'"],
    [{ schedule: '* * * * * *' }, "job 'count-rows': schedule must have 5 fields"],
    [{ schedule: '@daily' }, "job 'count-rows': schedule must have 5 fields, got '@daily'"],
    [{ schedule: '60 * * * *' }, "job 'count-rows': schedule must be from 0 to 59 in the minute field"],
    [{ schedule: '0 0 L * *' }, "job 'count-rows': schedule must be"],
    [{ description: '' }, "job 'count-rows': description must have 1 to 500 characters, got 0"],
    [
      { description: 'x'.repeat(501) },
      "job 'count-rows': description must have 1 to 500 characters, got 501"
    ],
    [
      { attemptDeadline: 14 },
      "job 'count-rows': attemptDeadline must be a whole number of seconds from 15 to 1800, got 14"
    ],
    [
      { attemptDeadline: 1_801, schedule: '0 0 * * *' },
      "job 'count-rows': attemptDeadline must be a whole number of seconds from 15 to 1800, got 1801"
    ],
    [{ attemptDeadline: 15.5 }, "job 'count-rows': attemptDeadline must be a whole number"],
    [{ attemptDeadline: Number.NaN }, "job 'count-rows': attemptDeadline must be a whole number"],
    [
      { attemptDeadline: 301 },
      "job 'count-rows': attemptDeadline must not be longer than the period of its schedule (300 s), got 301 s"
    ],
    [
      { attemptDeadline: 61, schedule: '0,1 3 * * *' },
      "job 'count-rows': attemptDeadline must not be longer than the period of its schedule (60 s), got 61 s"
    ],
    [{ batchSize: 0 }, "job 'count-rows': batchSize must be at least 1, got 0"],
    [{ batchSize: 1.5 }, "job 'count-rows': batchSize must be at least 1, got 1.5"],
    [{ maxRows: 0 }, "job 'count-rows': maxRows must be at least 1, got 0"],
    [{ maxRows: Number.POSITIVE_INFINITY }, "job 'count-rows': maxRows must be at least 1, got Infinity"]
  ])('refuses %o and names the job', (change, message) => {
    expect(() => defineJob({ ...valid, ...change })).toThrow(message)
  })

  it('names every fault of a job at once', () => {
    const define = () => defineJob({ ...valid, schedule: '@daily', attemptDeadline: 1, batchSize: 0 })
    expect(define).toThrow(RangeError)
    expect(define).toThrow(/^job 'count-rows': schedule .+; attemptDeadline .+; batchSize .+$/)
    const tooLong = () => defineJob({ ...valid, attemptDeadline: 301, batchSize: 0 })
    expect(tooLong).toThrow(/^job 'count-rows': batchSize .+; attemptDeadline .+ \(300 s\), got 301 s$/)
  })
})

describe('the tables of a job', () => {
  it('hold what orders the rows of a deletion, and what deleting them needs', () => {
    expect(defineJob(valid).tables).toEqual({
      rows: {
        select: { id: 'bigint', at: 'timestamp with time zone' },
        update: { id: 'bigint' },
        delete: true
      }
    })
  })

  it('hold what the definition adds to them', () => {
    const tables = {
      others: { select: { row_id: 'bigint' } },
      rows: { select: { state: 'text' }, insert: { id: 'bigint' } }
    }
    expect(defineJob({ ...valid, tables }).tables).toEqual({
      rows: {
        select: { id: 'bigint', at: 'timestamp with time zone', state: 'text' },
        insert: { id: 'bigint' },
        update: { id: 'bigint' },
        delete: true
      },
      others: { select: { row_id: 'bigint' } }
    })
  })

  it('hold columns without the alias of their table, and no right to delete for a job that updates', () => {
    const { tables } = defineJob({
      ...valid,
      selection: () => ({
        from: 'rows one',
        time: 'one.at',
        key: 'one.name',
        keyType: 'varchar',
        due: 'true'
      }),
      work: { changes: [] }
    })
    expect(tables).toEqual({
      rows: { select: { name: 'character varying', at: 'timestamp with time zone' } }
    })
  })

  it('stay what they are if a job is defined again', () => {
    const job = defineJob(valid)
    expect(defineJob(job)).toEqual(job)
  })
})

describe('defineCatalogue', () => {
  it('keeps the jobs in their order', () => {
    const catalogue = [defineJob(valid), defineJob({ ...valid, id: 'another' })]
    expect(defineCatalogue(catalogue)).toEqual(catalogue)
  })

  it('refuses two jobs with one id', () => {
    const job = defineJob(valid)
    expect(() => defineCatalogue([job, { ...job, id: 'another' }, job])).toThrow(
      new RangeError("job 'count-rows': id must be unique in the catalogue, got it twice")
    )
  })
})

describe('endpointOf', () => {
  it('is the path that Cloud Scheduler calls, with a slash at its end', () => {
    expect(endpointOf({ id: 'count-rows' })).toBe('/api/v1/scheduled/count-rows/')
  })
})
