/** Why goals stay missed, by `benchmark: finding` or by benchmark: stands in docs/benchmarks.md where they are. */
export const reasons: Readonly<Record<string, string>> = {
  jobs:
    'the batches of a delete take what the one statement takes; besides, a run finds their bounds by a walk of the index (7 ms of ' +
    '100 ms) and takes a dozen round trips for its lease, its guards and its end (12 ms).',
  'jobs: purge-expired-submissions':
    'whether a submission has a run, and so may have files, is looked up in the index for each row: a fifth of a batch. The one ' +
    'statement has to know of active runs only, which are few.',
  'jobs: process-purge-retries':
    'submissions are purged and their retries settled by two statements, each of which looks up each submission; the one ' +
    'statement passes on what it purged.',
  growth:
    'the one statement itself grows about as much (the last column), so it is neither the batches nor the search for their ' +
    'bounds.',
  'growth: process-purge-retries':
    'each run counts the exhausted retries, which no index finds: a look through the whole table, 8 ms for 130,000 retries ' +
    'and ten times that for ten times as many.',
  harm:
    'two things, told apart by a look at pg_stat_activity every 2 ms and by the same rounds without fsync. Waits over 5 ms are ' +
    'commits of the load behind a flush of the WAL (IO/WalSync, LWLock/WALWrite), which the one statement causes as much: it ' +
    'and the job write the same WAL, 108 MB in a third of a second for the keys. A p99 of some hundred statements is then the ' +
    'luck of one or two flushes: the ratio of the keys came out as 1.6, 2.0, 1.4 and 0.6 in four runs. Without fsync it was 1.2 for ' +
    'the keys and for stuck runs, 2.3 for the purge and from 1.9 to 5.9 for the retries. This rest, 2 to 4 ms that reads wait ' +
    'as well, is probably processor time, as the worker, PostgreSQL and the load share two cores: with the worker at the lowest ' +
    'priority the retries had 1.7.',
  'emulator-lag':
    'each of the 5,000 requests passes the one thread of the emulator twice, as Cloud Scheduler and as the door of the ' +
    'service: 0.47 ms of processor time, of which 0.08 ms are system calls. The rest is spread thinly over the HTTP client ' +
    'and server of Node.js, the garbage they leave (a tenth) and the record of each attempt (a twelfth). Fewer ' +
    'deliveries at a time were tried and saved nothing.',
  'cold-start':
    'of what the worker takes besides, a third goes to compiling what its bundle has more than Fastify, most of it zod ' +
    'and postgres.js. The rest is the connection to the database and three queries, without which the worker is not ready: ' +
    'on a busy machine they wait for PostgreSQL, which the bare Fastify never does.'
}
