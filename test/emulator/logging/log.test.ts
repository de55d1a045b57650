import { describe, expect, it } from 'vitest'
import type { Emulator } from '../../../emulator/emulator.ts'
import type { LogEntry } from '../../../emulator/logging/log-entry.ts'
import { compileLogFilter } from '../../../emulator/logging/log-filter.ts'
import { createFakeDeliverer, describeJob, parent, project, startTestEmulator } from '../harness.ts'

const entry: LogEntry = {
  insertId: '1a',
  logName: `projects/${project}/logs/cloudscheduler.googleapis.com%2Fexecutions`,
  resource: {
    type: 'cloud_scheduler_job',
    labels: { job_id: 'clear-sessions', location: 'l', project_id: project }
  },
  timestamp: '2026-06-01T00:05:00.000Z',
  receiveTimestamp: '2026-06-01T00:05:00.000Z',
  severity: 'ERROR',
  jsonPayload: {
    '@type': 'type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished',
    url: 'http://a.b/x"y',
    status: 'INTERNAL'
  },
  httpRequest: { status: 500 }
}

describe('compileLogFilter', () => {
  it.each([
    { filter: '', matches: true },
    { filter: '   ', matches: true },
    { filter: 'resource.type="cloud_scheduler_job"', matches: true },
    { filter: 'resource.type = cloud_scheduler_job', matches: true },
    { filter: 'resource.type="gce_instance"', matches: false },
    { filter: 'resource.labels.job_id="clear-sessions"', matches: true },
    { filter: 'resource.labels.job_id="CLEAR-sessions"', matches: true },
    { filter: 'resource.labels.job_id=clear-sessions AND severity=ERROR', matches: true },
    { filter: 'resource.labels.job_id=clear-sessions severity=INFO', matches: false },
    { filter: 'resource.labels.job_id=("a" OR "clear-sessions")', matches: true },
    { filter: 'resource.labels.job_id=("a" OR "b")', matches: false },
    { filter: 'resource.labels.job_id:"clear"', matches: true },
    { filter: 'resource.labels.job_id:"purge"', matches: false },
    { filter: 'severity>=ERROR', matches: true },
    { filter: 'severity>ERROR', matches: false },
    { filter: 'severity>=warning', matches: true },
    { filter: 'severity<ERROR', matches: false },
    { filter: 'severity<=ERROR', matches: true },
    { filter: 'severity!=INFO', matches: true },
    { filter: 'timestamp>="2026-06-01T00:05:00Z"', matches: true },
    { filter: 'timestamp>"2026-06-01T00:05:00Z"', matches: false },
    { filter: 'timestamp>=2026-06-01T00:05:00Z', matches: true },
    { filter: 'timestamp<"2026-06-01T10:05:01+10:00"', matches: true },
    { filter: 'timestamp>="2026-06-01" timestamp<"2026-06-02"', matches: true },
    { filter: 'httpRequest.status>=500', matches: true },
    { filter: 'httpRequest.status=50', matches: false },
    { filter: 'httpRequest.status<1000', matches: true },
    { filter: 'jsonPayload."@type":AttemptFinished', matches: true },
    { filter: 'jsonPayload.@type:"AttemptStarted"', matches: false },
    { filter: 'jsonPayload.url="http://a.b/x\\"y"', matches: true },
    { filter: 'jsonPayload.debugInfo:*', matches: false },
    { filter: 'jsonPayload.status:*', matches: true },
    { filter: 'jsonPayload.nothing=x', matches: false },
    { filter: 'jsonPayload.nothing!=x', matches: true },
    { filter: 'jsonPayload.nothing<x', matches: false },
    { filter: 'NOT severity=INFO', matches: true },
    { filter: '-severity=INFO', matches: true },
    { filter: 'NOT (severity=ERROR OR severity=INFO)', matches: false },
    // OR binds more tightly than AND: (INFO or ERROR) and DEBUG.
    { filter: 'severity=INFO OR severity=ERROR AND severity=DEBUG', matches: false },
    { filter: '(severity=INFO AND severity=DEBUG) OR severity=ERROR', matches: true },
    {
      filter: `logName="projects/${project}/logs/cloudscheduler.googleapis.com%2Fexecutions"`,
      matches: true
    },
    { filter: 'constructor.name=x', matches: false }
  ])('$filter: $matches', ({ filter, matches }) => {
    expect(compileLogFilter(filter)(entry)).toBe(matches)
  })

  it.each([
    { filter: 'severity', fault: "there must be one of != >= <= = > < :, got its end in 'severity'" },
    { filter: 'severity=', fault: "there must be a value, got its end in 'severity='" },
    { filter: '=ERROR', fault: "there must be the name of a field or a '(', got '=' at 0 in '=ERROR'" },
    { filter: '(severity=ERROR', fault: "there must be a ')', got its end" },
    { filter: 'severity=ERROR)', fault: "there must be an AND or the end, got ')' at 14" },
    { filter: 'severity=ERROR AND', fault: "there must be the name of a field or a '(', got its end" },
    { filter: 'severity=("a" OR', fault: 'there must be a value, got its end' },
    { filter: 'severity=~"x"', fault: `'~"x"' at 9 can't be read` },
    { filter: 'a="unclosed', fault: `'"unclosed' at 2 can't be read` }
  ])('refuses $filter', ({ filter, fault }) => {
    expect(() => compileLogFilter(filter)).toThrow(`Unparseable filter: ${fault}`)
  })
})

describe('the types of resource that a filter asks for', () => {
  it.each([
    { filter: 'resource.type="cloud_run_revision" severity>=ERROR', types: ['cloud_run_revision'] },
    { filter: 'severity>=ERROR AND resource.type="Cloud_Run_Revision"', types: ['cloud_run_revision'] },
    { filter: '(resource.type="a" severity=INFO)', types: ['a'] },
    { filter: 'resource.type=("a" OR "b")', types: ['a', 'b'] },
    { filter: 'resource.type="a" OR severity=INFO', types: undefined },
    { filter: 'NOT resource.type="a"', types: undefined },
    { filter: 'resource.type!="a"', types: undefined },
    { filter: 'resource.type:"a"', types: undefined },
    { filter: 'severity=INFO', types: undefined },
    { filter: '', types: undefined }
  ])('$filter: $types', ({ filter, types }) => {
    expect(compileLogFilter(filter).resourceTypes).toEqual(types)
  })
})

describe('entries:list', () => {
  const list = async (
    emulator: Emulator,
    body: object = {}
  ): Promise<{ status: number; entries: LogEntry[]; nextPageToken?: string }> => {
    const response = await fetch(`${emulator.schedulerUrl}/v2/entries:list`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ resourceNames: [`projects/${project}`], ...body })
    })
    const answer = (await response.json()) as { entries?: LogEntry[]; nextPageToken?: string }
    return { status: response.status, entries: [], ...answer }
  }
  const startBusy = async () => {
    const deliverer = createFakeDeliverer(({ url }) =>
      url.includes('good')
        ? { kind: 'answer', statusCode: 200, body: '' }
        : { kind: 'answer', statusCode: 500, body: '' }
    )
    const emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    for (const id of ['good', 'bad']) {
      emulator.jobs.create(parent, describeJob(id, { httpTarget: { uri: `http://127.0.0.1:9/${id}` } }))
    }
    await emulator.clock.advanceTo(new Date('2026-06-01T00:11:00Z'))
    return emulator
  }

  it('an attempt leaves a start and an end, in Cloud Scheduler’s shape', async () => {
    await using emulator = await startBusy()
    const { entries } = await list(emulator, {
      filter: 'resource.labels.job_id="bad" timestamp<"2026-06-01T00:06:00Z"'
    })
    const common = {
      logName: `projects/${project}/logs/cloudscheduler.googleapis.com%2Fexecutions`,
      resource: {
        type: 'cloud_scheduler_job',
        labels: { job_id: 'bad', location: 'australia-southeast1', project_id: project }
      },
      timestamp: '2026-06-01T00:05:00.000Z',
      receiveTimestamp: '2026-06-01T00:05:00.000Z'
    }
    const payload = { jobName: `${parent}/jobs/bad`, targetType: 'HTTP', url: 'http://127.0.0.1:9/bad' }
    expect(entries).toEqual([
      {
        ...common,
        insertId: '000000000002a',
        severity: 'INFO',
        jsonPayload: {
          '@type': 'type.googleapis.com/google.cloud.scheduler.logging.AttemptStarted',
          ...payload,
          scheduledTime: '2026-06-01T00:05:00Z'
        }
      },
      {
        ...common,
        insertId: '000000000002b',
        severity: 'ERROR',
        jsonPayload: {
          '@type': 'type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished',
          ...payload,
          debugInfo: 'URL_UNREACHABLE-UNREACHABLE_5xx. Original HTTP response code number = 500',
          status: 'INTERNAL'
        },
        httpRequest: { status: 500 }
      }
    ])
  })

  it.each([
    {
      statusCode: 200,
      status: undefined,
      debugInfo: 'URL_CRAWLED. Original HTTP response code number = 200'
    },
    {
      statusCode: 401,
      status: 'UNAUTHENTICATED',
      debugInfo: 'URL_ERROR-ERROR_AUTHENTICATION. Original HTTP response code number = 401'
    },
    {
      statusCode: 403,
      status: 'PERMISSION_DENIED',
      debugInfo: 'URL_ERROR-ERROR_OTHER. Original HTTP response code number = 403'
    },
    {
      statusCode: 404,
      status: 'NOT_FOUND',
      debugInfo: 'URL_ERROR-ERROR_NOT_FOUND. Original HTTP response code number = 404'
    },
    {
      statusCode: 500,
      status: 'INTERNAL',
      debugInfo: 'URL_UNREACHABLE-UNREACHABLE_5xx. Original HTTP response code number = 500'
    },
    {
      statusCode: undefined,
      status: 'DEADLINE_EXCEEDED',
      debugInfo: 'URL_REJECTED-REJECTED_DEADLINE_EXCEEDED'
    }
  ])('$statusCode is $debugInfo', async ({ statusCode, status, debugInfo }) => {
    const deliverer = createFakeDeliverer(() =>
      statusCode === undefined ? { kind: 'deadline exceeded' } : { kind: 'answer', statusCode, body: '' }
    )
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', { deliverer })
    emulator.jobs.create(parent, describeJob('a'))
    await emulator.clock.advanceBy(300_000)
    const { entries } = await list(emulator, { filter: 'jsonPayload.debugInfo:*' })
    expect(entries).toHaveLength(1)
    expect(entries[0]?.jsonPayload?.debugInfo).toBe(debugInfo)
    expect(entries[0]?.jsonPayload?.status).toBe(status)
    expect(entries[0]?.severity).toBe(status === undefined ? 'INFO' : 'ERROR')
  })

  it('goes through pages in both orders', async () => {
    await using emulator = await startBusy()
    for (const orderBy of ['timestamp asc', 'timestamp desc']) {
      const ids: string[] = []
      let pageToken = ''
      do {
        const page = await list(emulator, { orderBy, pageSize: 3, pageToken })
        ids.push(...page.entries.map(({ insertId }) => insertId))
        pageToken = page.nextPageToken ?? ''
      } while (pageToken !== '')
      expect(ids).toHaveLength(8)
      expect(ids).toEqual(orderBy.endsWith('asc') ? ids.toSorted() : ids.toSorted().toReversed())
    }
  })

  it.each([
    { title: 'no resource names', body: { resourceNames: undefined }, status: 400 },
    { title: 'another project', body: { resourceNames: ['projects/other'] }, status: 403 },
    { title: 'a bad filter', body: { filter: '=' }, status: 400 },
    { title: 'a filter that is no text', body: { filter: 5 }, status: 400 },
    { title: 'an unknown order', body: { orderBy: 'severity' }, status: 400 }
  ])('refuses $title', async ({ body, status }) => {
    await using emulator = await startTestEmulator('2026-06-01T00:00:30Z')
    expect(await list(emulator, body)).toMatchObject({ status })
  })

  it('the attempts are also there as they are kept', async () => {
    await using emulator = await startBusy()
    const ask = async (query: string): Promise<number> => {
      const response = await fetch(`${emulator.schedulerUrl}/emulator/v1/attempts${query}`)
      return ((await response.json()) as { attempts: unknown[] }).attempts.length
    }
    expect(await ask('')).toBe(4)
    expect(await ask('?limit=3')).toBe(3)
    expect(await ask(`?job=${encodeURIComponent(`${parent}/jobs/bad`)}`)).toBe(2)
  })
})
