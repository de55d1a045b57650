import { describe, expect, it } from 'vitest'
import { readDatabaseUrl } from '../../worker/database/address.ts'
import { readEnvironment } from '../../worker/environment.ts'

const complete = {
  PORT: '8080',
  DATABASE_URL: 'postgres://worker:pass%20word@database.internal:6432/app',
  APP_IS_WORKER: 'true',
  STORAGE_URL: 'gs://bucket',
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
      storageUrl: new URL('gs://bucket'),
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
        STORAGE_URL: 'file:///var/files',
        LOG_LEVEL: 'debug',
        TIME_ZONE: 'Europe/Berlin',
        JOB_SETTINGS: '{"clear-sessions": {"shadow": true}}',
        GOOGLE_CLOUD_PROJECT: 'project',
        K_REVISION: 'worker-00042-abc'
      })
    ).toMatchObject({
      host: '0.0.0.0',
      isWorker: false,
      storageUrl: new URL('file:///var/files'),
      logLevel: 'debug',
      timeZone: 'Europe/Berlin',
      settings: { 'clear-sessions': { shadow: true } },
      project: 'project',
      revision: 'worker-00042-abc'
    })
  })

  it('takes a port of 0, which is any free one', () => {
    expect(read({ PORT: '0' }).port).toBe(0)
  })

  it('names every fault in one message', () => {
    expect(() => readEnvironment({})).toThrow(
      [
        "the worker's environment is not complete:",
        'PORT must be a port from 0 to 65535, got nothing',
        'DATABASE_URL must be postgres://user:password@host:port/database, got nothing',
        "APP_IS_WORKER must be 'true' or 'false', got nothing",
        'STORAGE_URL must be gs://bucket or file:///folder, got nothing',
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
    [{ STORAGE_URL: 'bucket' }, "STORAGE_URL must be gs://bucket or file:///folder, got 'bucket'"],
    [{ STORAGE_URL: 'gs://' }, "STORAGE_URL must be gs://bucket or file:///folder, got 'gs://'"],
    [{ STORAGE_URL: 's3://bucket' }, "STORAGE_URL must be gs://bucket or file:///folder, got 's3://bucket'"],
    [
      { STORAGE_URL: 'file://host/folder' },
      "STORAGE_URL must be gs://bucket or file:///folder, got 'file://host/folder'"
    ],
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
      "DATABASE_URL has a parameter schema that can't be done here: leave it out (docs/database-role.md lists those that can)",
      'STAGE must be the name of a stage, got nothing'
    ])
  })
})
