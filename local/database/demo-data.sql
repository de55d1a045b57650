-- Rows in every state that a job distinguishes, with times around now. Rows that are not due yet become due a few at a
-- time, starting in a quarter of an hour, so that the ticks of an afternoon have something to do; rows that jobs leave
-- alone stay.
-- A kind of row is one line in a list of values; its rows are n = 0, 1, 2, …, each one step further from now.

insert into users_organization (id)
select generate_series(1, 3);

insert into users_user (id)
select generate_series(1, 12);

insert into projects_project (id)
select generate_series(1, 6);

insert into workflows_workflow (id)
select generate_series(1, 8);

insert into django_session (session_key, session_data, expire_date)
select md5(format('session %s %s', kind, n)),
  repeat('.eJxVjDsOwjAQBe_iGlle_', 8),
  now() + first + n * step
from (
  values
    ('expired', 180, interval '-1 second', interval '-4 hours'),
    ('live', 120, interval '20 minutes', interval '2 hours')
) as kinds (kind, count, first, step),
generate_series(0, count - 1) n;

insert into submissions_submission (
  id, created, modified, name, content, input_file, file_type, original_filename, size_bytes, checksum_sha256, metadata,
  retention_policy, expires_at, content_purged_at, org_id, project_id, user_id, workflow_id
)
select id,
  now() - interval '60 days' - n * interval '1 hour',
  coalesce(purged_at, now() - interval '60 days'),
  format('Building %s', n + 1),
  case when purged_at is null and not has_file then format('{"building": %s, "zones": []}', n + 1) else '' end,
  case when purged_at is null and has_file then format(
    'submissions/o%s/building-%s/u%s/%s/%s_model.json',
    n % 3 + 1, n % 6 + 1, n % 12 + 1, to_char(now() - interval '60 days' - n * interval '1 hour', 'YYYYMMDD'),
    left(replace(id::text, '-', ''), 12)
  ) else '' end,
  'json',
  format('building-%s.json', n + 1),
  1200 + n,
  encode(sha256(id::text::bytea), 'hex'),
  jsonb_build_object('kind', kind),
  case when first is null and purged_at is null then 'STORE_FOREVER' else 'STORE_30_DAYS' end,
  now() + first + n * step,
  purged_at,
  n % 3 + 1,
  n % 6 + 1,
  n % 12 + 1,
  n % 8 + 1
from (
  values
    ('expired', 140, false, interval '-1 second', interval '-3 hours', false),
    ('expired, with files', 60, true, interval '-2 minutes', interval '-5 hours', false),
    ('expired, run active', 12, true, interval '-1 hour', interval '-1 hour', false),
    ('expired, retry due', 20, true, interval '-1 day', interval '-1 hour', false),
    ('expired, retry due, run active', 6, true, interval '-1 day', interval '-1 hour', false),
    ('expired, retry waits', 10, true, interval '-1 day', interval '-1 hour', false),
    ('expired, retry exhausted', 4, true, interval '-9 days', interval '-1 hour', false),
    ('live', 90, false, interval '20 minutes', interval '4 hours', false),
    ('live, with files', 40, true, interval '1 hour', interval '7 hours', false),
    ('kept for ever', 30, false, null, null, false),
    ('purged', 80, true, null, null, true),
    ('purged, retry due', 5, true, null, null, true)
) as kinds (kind, count, has_file, first, step, is_purged),
generate_series(0, count - 1) n,
lateral (
  select md5(format('submission %s %s', kind, n))::uuid as id,
    case when is_purged then now() - interval '1 day' - n * interval '3 hours' end as purged_at
) as made;

insert into validations_validationrun (
  id, created, modified, status, short_description, started_at, ended_at, duration_ms, summary, error, error_category,
  source, output_retention_policy, org_id, project_id, submission_id, user_id, workflow_id, evidence_hash
)
select md5(format('run %s %s %s', kind, submission_kind, n))::uuid,
  coalesce(started_at, now() - interval '1 minute'),
  coalesce(ended_at, started_at, now() - interval '1 minute'),
  status,
  format('Run %s', n + 1),
  started_at,
  ended_at,
  case when ended_at is null then 0 else 42000 end,
  jsonb_build_object('kind', kind),
  '',
  case when status = 'FAILED' then 'VALIDATION' else '' end,
  'API',
  'STORE_30_DAYS',
  coalesce(submission.org_id, 1),
  submission.project_id,
  submission.id,
  submission.user_id,
  coalesce(submission.workflow_id, 1),
  ''
from (
  values
    ('done', 'expired, with files', 60, 'SUCCEEDED', interval '-40 days', interval '-1 hour'),
    ('failed', 'expired, with files', 20, 'FAILED', interval '-41 days', interval '-1 hour'),
    ('running', 'expired, run active', 6, 'RUNNING', interval '-1 second', interval '-1 minute'),
    ('pending', 'expired, run active', 12, 'PENDING', null, null),
    ('running', 'expired, retry due, run active', 6, 'RUNNING', interval '-1 second', interval '-1 minute'),
    ('done', 'expired, retry due', 20, 'SUCCEEDED', interval '-40 days', interval '-1 hour'),
    ('canceled', 'expired, retry waits', 10, 'CANCELED', interval '-40 days', interval '-1 hour'),
    ('timed out', 'expired, retry exhausted', 4, 'TIMED_OUT', interval '-50 days', interval '-1 hour'),
    ('done', 'live, with files', 40, 'SUCCEEDED', interval '-3 days', interval '-1 hour'),
    ('stuck', 'kept for ever', 30, 'RUNNING', interval '-30 minutes -1 second', interval '-2 hours'),
    ('done', 'purged', 80, 'SUCCEEDED', interval '-70 days', interval '-1 hour'),
    ('running', null, 10, 'RUNNING', interval '-1 second', interval '-1 minute'),
    -- Ten minutes from now it looks stuck, but its validator still works: it is left alone until the validator ends.
    ('executing', null, 1, 'RUNNING', interval '-20 minutes', interval '0'),
    ('running, never started', null, 5, 'RUNNING', null, null)
) as kinds (kind, submission_kind, count, status, first, step)
cross join generate_series(0, count - 1) n
left join submissions_submission submission
  on submission.id = md5(format('submission %s %s', submission_kind, n))::uuid
cross join lateral (
  select now() + first + n * step as started_at,
    case when status not in ('RUNNING', 'PENDING') then now() + first + n * step + interval '42 seconds' end as ended_at
) as times;

update submissions_submission submission
set latest_run_id = (
  select run.id
  from validations_validationrun run
  where run.submission_id = submission.id
  order by run.created desc
  limit 1
);

-- Of the stuck runs, a third have a validator on Cloud Run that has ended, a third have one that Cloud Run no longer
-- knows, and a third have none. The local stand-in for Cloud Run reads demo_execution_ends_at; the application has no
-- such key.
insert into validations_validationsteprun (
  step_order, status, started_at, ended_at, output, validation_run_id, workflow_step_id
)
select 1,
  status,
  started_at,
  ended_at,
  jsonb_strip_nulls(jsonb_build_object(
    'execution_name', case when kind = 'executing' or kind = 'stuck' and n % 3 > 0 then
      format('projects/local-project/locations/australia-southeast1/jobs/validator/executions/validator-%s', left(md5(id::text), 5))
    end,
    'demo_execution_ends_at', case
      when kind = 'executing' then started_at + interval '1 hour'
      when kind = 'stuck' and n % 3 = 1 then started_at + interval '5 minutes'
    end
  )),
  id,
  n % 8 + 1
from (
  select *, summary ->> 'kind' as kind, row_number() over (partition by summary ->> 'kind' order by id) as n
  from validations_validationrun
) as runs;

insert into submissions_purgeretry (
  submission_id, created_at, last_attempt_at, next_retry_at, attempt_count, last_error
)
select md5(format('submission %s %s', submission_kind, n))::uuid,
  now() - interval '1 day',
  now() - interval '6 hours',
  now() + first + n * step,
  attempts,
  'storage answered 503 Service Unavailable'
from (
  values
    ('expired, retry due', 20, 1, interval '-1 second', interval '-2 minutes'),
    ('expired, retry due, run active', 6, 2, interval '-1 minute', interval '-1 minute'),
    ('purged, retry due', 5, 3, interval '-1 hour', interval '-1 hour'),
    ('expired, retry waits', 10, 4, interval '16 minutes', interval '5 minutes'),
    -- The application stopped retrying and postponed it by a year; the job tries again a day after the last attempt.
    ('expired, retry exhausted', 4, 5, interval '364 days', interval '-1 day')
) as kinds (submission_kind, count, attempts, first, step),
generate_series(0, count - 1) n;

insert into validations_callbackreceipt (id, callback_id, received_at, status, result_uri, validation_run_id)
select md5(format('receipt %s %s', kind, n))::uuid,
  format('callback-%s-%s', kind, n),
  now() + first + n * step,
  'COMPLETED',
  format('gs://validibot/runs/%s/output.json', run.id),
  run.id
from (
  values
    ('old', 200, interval '-30 days -1 second', interval '-5 hours'),
    ('recent', 200, interval '-30 days +20 minutes', interval '3 hours')
) as kinds (kind, count, first, step),
generate_series(0, count - 1) n,
lateral (
  select md5(format('run done purged %s', n % 80))::uuid as id
) as run;

insert into core_idempotencykey (
  id, created, modified, key, endpoint, request_hash, status, response_status, response_body, response_headers,
  expires_at, request_ip, user_agent, org_id, validation_run_id
)
select md5(format('key %s %s', kind, n))::uuid,
  expires_at - interval '24 hours',
  expires_at - interval '24 hours',
  format('key-%s-%s', kind, n),
  'POST /api/v1/runs/',
  encode(sha256(n::text::bytea), 'hex'),
  case when is_answered then 'COMPLETED' else 'PROCESSING' end,
  case when is_answered then 201 end,
  case when is_answered then jsonb_build_object('run', n) end,
  '{"Content-Type": "application/json"}',
  expires_at,
  '192.0.2.10',
  'validibot-client/1.0',
  n % 3 + 1,
  case when is_answered then md5(format('run done purged %s', n % 80))::uuid end
from (
  values
    ('expired', 220, true, interval '-1 second', interval '-20 minutes'),
    ('expired, never answered', 20, false, interval '-5 minutes', interval '-3 hours'),
    ('live', 140, true, interval '20 minutes', interval '10 minutes'),
    ('live, not answered yet', 10, false, interval '23 hours', interval '1 minute')
) as kinds (kind, count, is_answered, first, step),
generate_series(0, count - 1) n,
lateral (
  select now() + first + n * step as expires_at
) as times;
