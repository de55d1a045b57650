import { describe, expect, it } from 'vitest'
import { filePlacesForm } from '../../jobs/file-places.ts'
import { readDatabaseUrl } from '../../worker/database/address.ts'
import { readEnvironment } from '../../worker/environment.ts'

const complete = {
  PORT: '8080',
  DATABASE_URL: 'postgres://worker:pass%20word@database.internal:6432/app',
  APP_IS_WORKER: 'true',
  UPLOADS_URL: 'gs://bucket/public gs://bucket/private',
  BUNDLES_URL: 'gs://bucket',
  STAGE: 'dev'
}
const read = (changes: NodeJS.ProcessEnv = {}) => readEnvironment({ ...complete, ...changes })

/** The faults of an environment, without the sentence above them. */
const faultsOf = (changes: NodeJS.ProcessEnv): string[] => {
  try {
    read(changes)
    return []
  } catch (error) {
    const [title, ...faults] = (error as Error).message.split('\n  ')
    expect(title).toBe("the worker's environment is not complete:")
    return faults
  }
}

describe('readEnvironment', () => {
  it('reads a complete environment, and presets the rest', () => {
    expect(read()).toEqual({
      host: '127.0.0.1',
      port: 8080,
      database: readDatabaseUrl('postgres://worker:pass%20word@database.internal:6432/app'),
      isWorker: true,
      files: {
        uploads: [new URL('gs://bucket/public'), new URL('gs://bucket/private')],
        bundles: [new URL('gs://bucket')]
      },
      executionsUrl: new URL('https://run.googleapis.com'),
      stage: 'dev',
      logLevel: 'info',
      timeZone: 'Australia/Sydney',
      settings: {},
      revision: 'local'
    })
  })

  it('reads what Cloud Run and the stage say besides', () => {
    expect(
      read({
        HOST: '0.0.0.0',
        APP_IS_WORKER: 'false',
        UPLOADS_URL: 'file:///var/files/private',
        BUNDLES_URL: 'file:///var/files gs://bundles/old',
        LOG_LEVEL: 'debug',
        TIME_ZONE: 'Europe/Berlin',
        JOB_SETTINGS: '{"clear-sessions": {"shadow": true}}',
        GOOGLE_CLOUD_PROJECT: 'project',
        K_REVISION: 'worker-00042-abc'
      })
    ).toMatchObject({
      host: '0.0.0.0',
      isWorker: false,
      files: {
        uploads: [new URL('file:///var/files/private')],
        bundles: [new URL('file:///var/files'), new URL('gs://bundles/old')]
      },
      logLevel: 'debug',
      timeZone: 'Europe/Berlin',
      settings: { 'clear-sessions': { shadow: true } },
      project: 'project',
      revision: 'worker-00042-abc'
    })
  })

  it('takes it that nobody knows where the stored files are', () => {
    expect(read({ UPLOADS_URL: 'unknown', BUNDLES_URL: 'unknown' }).files).toBeUndefined()
  })

  it('takes a port of 0, which is any free one', () => {
    expect(read({ PORT: '0' }).port).toBe(0)
  })

  it.each(['https://run.example.com', 'http://127.0.0.1:8085/', 'http://localhost:1', 'http://[::1]:1'])(
    'takes another address of Cloud Run’s API: %s',
    (url) => {
      expect(read({ CLOUD_RUN_URL: url }).executionsUrl).toEqual(new URL(url))
    }
  )

  it('has no address of Cloud Run’s API where it is not to be asked', () => {
    expect(read({ ASK_EXECUTIONS: 'false' })).not.toHaveProperty('executionsUrl')
  })

  it.each([
    'http://run.googleapis.com',
    'http://127.0.0.1.example.com',
    'ftp://127.0.0.1',
    'https://run.googleapis.com/v2',
    'https://user:word@run.googleapis.com',
    'run.googleapis.com'
  ])('refuses to send its token elsewhere: %s', (url) => {
    expect(faultsOf({ CLOUD_RUN_URL: url })).toEqual([
      `CLOUD_RUN_URL must be https://host, or http://127.0.0.1:port for a stand-in on this machine, got '${url}'`
    ])
  })

  it('names every fault in one message', () => {
    expect(() => readEnvironment({})).toThrow(
      [
        "the worker's environment is not complete:",
        'PORT must be a port from 0 to 65535, got nothing',
        'DATABASE_URL must be postgres://user:password@host:port/database, got nothing',
        "APP_IS_WORKER must be 'true' or 'false', got nothing",
        `UPLOADS_URL must be ${filePlacesForm}, got nothing`,
        `BUNDLES_URL must be ${filePlacesForm}, got nothing`,
        'STAGE must be the name of a stage, got nothing'
      ].join('\n  ')
    )
  })

  it.each<[NodeJS.ProcessEnv, string]>([
    [{ PORT: '' }, 'PORT must be a port from 0 to 65535, got nothing'],
    [{ PORT: '65536' }, "PORT must be a port from 0 to 65535, got '65536'"],
    [{ PORT: '80a' }, "PORT must be a port from 0 to 65535, got '80a'"],
    [{ PORT: '-1' }, "PORT must be a port from 0 to 65535, got '-1'"],
    [{ APP_IS_WORKER: 'True' }, "APP_IS_WORKER must be 'true' or 'false', got 'True'"],
    [{ APP_IS_WORKER: '1' }, "APP_IS_WORKER must be 'true' or 'false', got '1'"],
    [
      { UPLOADS_URL: 'bucket' },
      `UPLOADS_URL must be ${filePlacesForm}, got 'bucket': it begins with neither gs:// nor file:///`
    ],
    [
      { BUNDLES_URL: 'gs://bucket?a' },
      `BUNDLES_URL must be ${filePlacesForm}, got 'gs://bucket?a': it must have no '?'; in a folder's name it is %3F`
    ],
    [
      { UPLOADS_URL: 'gs://bucket unknown' },
      `UPLOADS_URL must be ${filePlacesForm}, got 'unknown': it begins with neither gs:// nor file:///`
    ],
    [
      { UPLOADS_URL: 'unknown' },
      "UPLOADS_URL and BUNDLES_URL must both be 'unknown', or neither, got 'unknown' and 'gs://bucket'"
    ],
    [
      { BUNDLES_URL: 'unknown', UPLOADS_URL: '' },
      "UPLOADS_URL and BUNDLES_URL must both be 'unknown', or neither, got '' and 'unknown'"
    ],
    [
      { STORAGE_URL: 'gs://bucket' },
      'STORAGE_URL must be left out: UPLOADS_URL and BUNDLES_URL say where the uploads and the bundles of runs are'
    ],
    [{ ASK_EXECUTIONS: 'no' }, "ASK_EXECUTIONS must be 'true' or 'false', got 'no'"],
    [{ LOG_LEVEL: 'trace' }, "LOG_LEVEL must be one of debug, info, warn, error, silent, got 'trace'"],
    [{ TIME_ZONE: 'Sydney' }, "TIME_ZONE must be a time zone such as Australia/Sydney, got 'Sydney'"],
    [{ JOB_SETTINGS: '{' }, "JOB_SETTINGS must be a JSON object by job id, got '{'"],
    [{ JOB_SETTINGS: '[]' }, 'JOB_SETTINGS must be an object by job id, got []'],
    [
      { JOB_SETTINGS: '{"clear-sessions": {"shadow": "yes"}}' },
      'JOB_SETTINGS.clear-sessions.shadow must be true or false, got "yes"'
    ]
  ])('refuses %o', (changes, fault) => {
    expect(faultsOf(changes)).toEqual([fault])
  })

  it('refuses a database URL by what is wrong with it, beside other faults', () => {
    expect(faultsOf({ DATABASE_URL: 'postgres://user:hidden@host/app?schema=x', STAGE: '' })).toEqual([
      'DATABASE_URL has a parameter schema that is not supported: leave it out (docs/database-role.md lists those that can)',
      'STAGE must be the name of a stage, got nothing'
    ])
  })
})
