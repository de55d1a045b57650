import type { JobId } from '../../jobs/index.ts'
import { dueBefore, mapDeletions } from '../jobs/deletions.ts'

/**
 * The lower bound: for each job, the one SQL statement that does the same to the same rows, without batches, a ledger
 * or a lease.
 */
export const statements: Readonly<Record<JobId, string>> = {
  ...mapDeletions(
    (deletion) => `delete from ${deletion.table} where ${deletion.time} < ${dueBefore(deletion)}`
  ),

  'purge-expired-submissions': `
    update submissions_submission s
    set content = '', input_file = '', expires_at = null, content_purged_at = now(), modified = now()
    where s.expires_at <= now()
    and s.content_purged_at is null
    and not exists (
      select from validations_validationrun run
      where run.submission_id = s.id
      and run.status in ('RUNNING', 'PENDING')
    )
    and not exists (select from submissions_purgeretry retry where retry.submission_id = s.id)`,

  'process-purge-retries': `
    with purged as (
      update submissions_submission s
      set content = '', input_file = '', expires_at = null, content_purged_at = now(), modified = now()
      from submissions_purgeretry retry
      where retry.submission_id = s.id
      and retry.next_retry_at <= now()
      and retry.attempt_count < 5
      and s.content_purged_at is null
      and not exists (
        select from validations_validationrun run
        where run.submission_id = s.id
        and run.status in ('RUNNING', 'PENDING')
      )
      returning retry.id
    )
    delete from submissions_purgeretry
    where id in (select id from purged)`,

  'cleanup-stuck-runs': `
    update validations_validationrun run
    set status = 'FAILED',
      error_category = 'TIMEOUT',
      error = 'The run did not finish within 30 minutes and was ended.',
      ended_at = now(),
      duration_ms = floor(extract(epoch from now() - started_at) * 1000),
      modified = now()
    where status = 'RUNNING'
    and started_at < now() - interval '30 minutes'
    and not exists (
      select from validations_validationsteprun step
      where step.validation_run_id = run.id
      and step.status in ('RUNNING', 'PENDING')
      and coalesce(step.output ->> 'execution_name', '') <> ''
    )`
}
