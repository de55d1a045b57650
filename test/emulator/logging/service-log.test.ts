import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { LogEntry } from '../../../emulator/logging/log-entry.ts'
import { describeServiceEntry } from '../../../emulator/logging/service-log.ts'
import { project, startTestEmulator } from '../harness.ts'

const origin = { project, sequence: 7, now: new Date('2026-06-01T00:00:00Z'), isVirtual: false }
const describeLine = (text: string, changes: object = {}): LogEntry =>
  describeServiceEntry({ service: 'worker', region: 'r', stream: 'stdout', text }, { ...origin, ...changes })

describe('a line of a service', () => {
  it('gives the special fields of its JSON to the entry, and the rest to the payload', () => {
    const line = {
      severity: 'WARNING',
      time: '2026-05-31T23:59:59.123456Z',
      'logging.googleapis.com/labels': { job: 'clear-sessions' },
      'logging.googleapis.com/trace': 'projects/p/traces/1',
      httpRequest: { status: 200 },
      event: 'run completed',
      message: 'done'
    }
    expect(describeLine(JSON.stringify(line))).toEqual({
      insertId: 's000000000007',
      logName: `projects/${project}/logs/run.googleapis.com%2Fstdout`,
      resource: {
        type: 'cloud_run_revision',
        labels: {
          project_id: project,
          location: 'r',
          service_name: 'worker',
          configuration_name: 'worker',
          revision_name: 'worker-local'
        }
      },
      timestamp: '2026-05-31T23:59:59.123456Z',
      receiveTimestamp: '2026-06-01T00:00:00.000Z',
      severity: 'WARNING',
      labels: { job: 'clear-sessions' },
      trace: 'projects/p/traces/1',
      httpRequest: { status: 200 },
      jsonPayload: { event: 'run completed', message: 'done' }
    })
  })

  it.each([
    { title: 'plain text', text: 'plain', payload: { textPayload: 'plain', severity: 'DEFAULT' } },
    { title: 'a broken object', text: '{"a":', payload: { textPayload: '{"a":', severity: 'DEFAULT' } },
    { title: 'a list', text: '[1]', payload: { textPayload: '[1]', severity: 'DEFAULT' } },
    {
      title: 'a message alone',
      text: '{"severity":"INFO","message":"m"}',
      payload: { textPayload: 'm', severity: 'INFO' }
    },
    {
      title: 'an unknown severity',
      text: '{"severity":"loud","a":1}',
      payload: { jsonPayload: { a: 1 }, severity: 'DEFAULT' }
    },
    {
      title: 'a time that is none',
      text: '{"time":"noon","a":1}',
      payload: { jsonPayload: { a: 1 }, timestamp: '2026-06-01T00:00:00.000Z' }
    }
  ])('that is $title is kept', ({ text, payload }) => {
    expect(describeLine(text)).toMatchObject(payload)
  })

  it('is stamped by a virtual clock, whatever time the service takes it for', () => {
    const entry = describeLine('{"time":"2027-01-01T00:00:00Z","a":1}', { isVirtual: true })
    expect(entry.timestamp).toBe('2026-06-01T00:00:00.000Z')
  })
})

describe('the log of a service that the emulator started', () => {
  it('is served beside the attempts, and kept between starts', async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), 'test-service-log-'))
    afterAll(() => rm(dataDirectory, { recursive: true, force: true }))
    const start = async (): Promise<(string | undefined)[]> => {
      await using emulator = await startTestEmulator('2026-06-01T00:00:30Z', {
        dataDirectory,
        services: [
          {
            name: 'worker',
            region: 'australia-southeast1',
            invokers: [],
            upstream: {
              command: process.execPath,
              arguments: [join(import.meta.dirname, '../sample-worker.ts')],
              environment: { MODE: 'normal' },
              healthPath: '/health',
              onOutput: () => undefined
            }
          }
        ]
      })
      const response = await fetch(`${emulator.schedulerUrl}/v2/entries:list`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          resourceNames: [`projects/${project}`],
          filter: 'resource.type="cloud_run_revision" resource.labels.service_name="worker"'
        })
      })
      const { entries = [] } = (await response.json()) as { entries?: LogEntry[] }
      return entries.map(({ textPayload }) => textPayload)
    }
    expect(await start()).toEqual(['healthy'])
    // Its last words are there, too: nothing is cut off.
    expect(await start()).toEqual(['healthy', 'SIGTERM', 'healthy'])
  })
})
