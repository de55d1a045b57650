import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { addRuns, addSessions, addSubmissions, clearTables, readRows } from '../rows.ts'
import { createWorker } from './worker-under-test.ts'

const { sql, run, lines, storage } = await createWorker()

beforeEach(async () => {
  await clearTables(sql)
  storage.clear()
  lines.length = 0
})

/** Lets a trigger refuse one row with a SQLSTATE, and quote the row. */
const poison = async (table: string, condition: string, code: string) => {
  await sql.unsafe(`
    create function poison() returns trigger language plpgsql as $$
    begin
      if ${condition} then raise exception using errcode = '${code}', message = 'the content: ' || old::text; end if;
      return coalesce(new, old);
    end $$;
    create trigger poison before update or delete on ${table} for each row execute function poison()`)
  onTestFinished(async () => {
    await sql`drop function poison cascade`
  })
}

describe('one row that can not be changed', () => {
  const meet = async (code: string) => {
    await addSessions(sql, 60, {
      session_key: Array.from({ length: 60 }, (_, index) => `key-${index}`),
      session_data: 'secret',
      expire_date: Array.from({ length: 60 }, (_, index) => `-${index + 1} minutes`)
    })
    await poison('django_session', "old.session_key = 'key-30'", code)
    const answer = await run('clear-sessions')
    const ledger = await readRows(sql, 'scheduled_jobs.run')
    expect(JSON.stringify([lines, ledger, answer.body])).not.toContain('secret')
    return answer
  }

  it.each(
    '22012 23514 P0001 45000 AB123 42501 54000 XX001 38000 21000 40001 40P01 55P03 0A000 57014 42P01'.split(
      ' '
    )
  )('with SQLSTATE %s leaves no other behind, and its content stands nowhere', async (code) => {
    expect((await meet(code)).body).toMatchObject({
      status: 'completed',
      affected: 59,
      failed: 1,
      more: false
    })
    expect(await readRows(sql, 'django_session')).toMatchObject([{ session_key: 'key-30' }])
  })

  it.each('57P01 08006 53200 25006 28000'.split(' '))(
    'with SQLSTATE %s, which speaks of the server, ends the run, and its content stands nowhere',
    async (code) => {
      expect((await meet(code)).statusCode).toBe(500)
    }
  )

  it.each([0, 7, 19])(
    'of those with stored files is found among its group: the one at %i',
    async (position) => {
      const ids = await addSubmissions(sql, 20, {
        content: '',
        input_file: Array.from({ length: 20 }, (_, index) => `submissions/${index}`),
        expires_at: Array.from({ length: 20 }, (_, index) => `-${30 - index} hours`)
      })
      await poison('submissions_submission', `old.id = '${ids[position]}'`, '45000')
      expect((await run('purge-expired-submissions')).body).toMatchObject({
        affected: 19,
        failed: 1,
        held: 0,
        missing: 20
      })
      expect(await readRows(sql, 'submissions_submission', 'content_purged_at is null')).toMatchObject([
        { id: ids[position] }
      ])
    }
  )

  it.each(['-infinity', '4713-01-01 00:00 BC', '0001-01-01'])(
    'for a run that is stuck since %s there is none: it is marked',
    async (startedAt) => {
      await addRuns(sql, 3, { status: 'RUNNING', started_at: ['-1 day', startedAt, '-2 days'] })
      expect((await run('cleanup-stuck-runs', { batch_size: 1 })).body).toMatchObject({
        affected: 3,
        failed: 0
      })
    }
  )

  it.each(['-infinity', '4713-01-01 00:00 BC'])(
    'a session that expired %s is deleted',
    async (expireDate) => {
      await addSessions(sql, 3, { expire_date: ['-1 day', expireDate, expireDate] })
      expect((await run('clear-sessions', { batch_size: 1 })).body).toMatchObject({ affected: 3, failed: 0 })
    }
  )
})

describe('rows that failed', () => {
  it('are an event of their own', async () => {
    await addSessions(sql, 3, { expire_date: '-1 day' })
    await poison('django_session', 'true', '45000')
    const { statusCode, body } = await run('clear-sessions')
    expect([statusCode, body]).toMatchObject([200, { affected: 0, failed: 3 }])
    expect(lines.filter(({ event }) => event === 'rows failed')).toMatchObject([
      { severity: 'ERROR', failed: 3, affected: 0 }
    ])
  })
})
