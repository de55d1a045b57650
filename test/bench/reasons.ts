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
    'no more than what the rounds differ by, in both directions. Waits over 5 ms are commits of the load behind a flush of ' +
    'the WAL, and one that takes long is the p99 of a whole run; the job and the one statement write the same WAL, and both ' +
    'have such runs.',
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
