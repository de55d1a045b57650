-- The soak's own record of each row that the worker changes, written by the database in the same transaction, so that
-- nobody has to be trusted. Other clients, recognised by application_name, are the application.

create schema soak;

create table soak.change (
  at timestamptz not null,
  transaction xid8 not null,
  what text not null,
  key text not null,
  -- Why this change is wrong; null when all is well.
  fault text
);

create function soak.is_worker() returns boolean language sql stable
as $$ select current_setting('application_name') = 'scheduled-jobs' $$;

-- Its arguments: the key column, the time column, and how long after that time a row is due.
create function soak.note_deletion() returns trigger language plpgsql as $$
begin
  if not soak.is_worker() then return null; end if;
  execute format(
    $sql$
      insert into soak.change
      select clock.now(), pg_current_xact_id(), %5$L, %1$I,
        case when %2$I >= clock.now() - %3$L::interval then format('its %%s is %%s', %4$L, %2$I) end
      from before
    $sql$,
    tg_argv[0], tg_argv[1], tg_argv[2], tg_argv[1], tg_table_name || ' deleted'
  );
  return null;
end $$;

create function soak.note_settled() returns trigger language plpgsql as $$
begin
  if not soak.is_worker() then return null; end if;
  insert into soak.change
  select clock.now(), pg_current_xact_id(), 'retry settled', retry.id,
    case
      when retry.next_retry_at > clock.now() then 'it was due at ' || retry.next_retry_at
      when s.content_purged_at is null then 'its submission is not purged'
    end
  from before retry
  join submissions_submission s on s.id = retry.submission_id;
  return null;
end $$;

create function soak.note_submissions() returns trigger language plpgsql as $$
begin
  if not soak.is_worker() then return null; end if;
  insert into soak.change
  select clock.now(), pg_current_xact_id(), 'submission purged', earlier.id,
    case
      when earlier.content_purged_at is not null then 'it was purged before'
      when earlier.expires_at is null or earlier.expires_at > clock.now() then 'it expires at ' || earlier.expires_at
      when later.content <> '' or later.input_file <> '' or later.expires_at is not null or later.content_purged_at is null
        then 'it still has its content'
      when to_jsonb(earlier) - soak.purged_columns() <> to_jsonb(later) - soak.purged_columns()
        then 'more than its content was changed'
      when exists (
        select from validations_validationrun run
        where run.submission_id = earlier.id
        and run.status in ('RUNNING', 'PENDING')
      ) then 'a run of it is active'
    end
  from before earlier
  join after later on later.id = earlier.id;
  return null;
end $$;

create function soak.purged_columns() returns text[] language sql immutable
as $$ select array['content', 'input_file', 'expires_at', 'content_purged_at', 'modified'] $$;

create function soak.note_runs() returns trigger language plpgsql as $$
begin
  if not soak.is_worker() then return null; end if;
  insert into soak.change
  select clock.now(), pg_current_xact_id(), 'run ended', earlier.id,
    case
      when earlier.status <> 'RUNNING' then 'it was ' || earlier.status
      when earlier.started_at is null or earlier.started_at >= clock.now() - interval '30 minutes'
        then 'it started at ' || earlier.started_at
      when later.status <> 'FAILED' or later.error_category <> 'TIMEOUT' then 'it is ' || later.status
    end
  from before earlier
  join after later on later.id = earlier.id;
  return null;
end $$;

create function soak.note_retries() returns trigger language plpgsql as $$
begin
  if not soak.is_worker() then return null; end if;
  if tg_op = 'INSERT' then
    insert into soak.change
    select clock.now(), pg_current_xact_id(), 'retry added', id, null
    from after;
  else
    insert into soak.change
    select clock.now(), pg_current_xact_id(),
      case when later.attempt_count > earlier.attempt_count then 'retry failed' else 'retry waits' end, earlier.id,
      case when earlier.next_retry_at > clock.now() then 'it was due at ' || earlier.next_retry_at end
    from before earlier
    join after later on later.id = earlier.id;
  end if;
  return null;
end $$;

create trigger soak_delete after delete on submissions_purgeretry
  referencing old table as before for each statement execute function soak.note_settled();
create trigger soak_update after update on submissions_submission
  referencing old table as before new table as after for each statement execute function soak.note_submissions();
create trigger soak_update after update on validations_validationrun
  referencing old table as before new table as after for each statement execute function soak.note_runs();
create trigger soak_insert after insert on submissions_purgeretry
  referencing new table as after for each statement execute function soak.note_retries();
create trigger soak_update after update on submissions_purgeretry
  referencing old table as before new table as after for each statement execute function soak.note_retries();
