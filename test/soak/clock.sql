-- The database's virtual clock: for every connection it shadows PostgreSQL's own now() and clock_timestamp().

create schema clock;

create table clock.hand (at timestamptz not null);

create function clock.now() returns timestamptz language sql stable
as $$ select at from clock.hand $$;

create function clock.clock_timestamp() returns timestamptz language sql volatile
as $$ select at from clock.hand $$;
