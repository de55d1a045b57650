/** Why goals stay missed, by `benchmark: finding` or by benchmark: stands in docs/benchmarks.md where they are. */
export const reasons: Readonly<Record<string, string>> = {
  'jobs: clear-sessions':
    'a batch has to know where it ends. With batches of 5,000, of 188 ms beside 83 ms PostgreSQL worked 105 ms in the batches ' +
    'and 37 ms to find their ends; 40 round trips took about 40 ms, the beginning, the guards and the end of the run 8 ms. ' +
    'Batches of 20,000 save most of the round trips.',
  'jobs: cleanup-idempotency-keys': 'as for clear-sessions.',
  'jobs: cleanup-callback-receipts': 'as for clear-sessions.',
  'jobs: purge-expired-submissions':
    'the ids, files and runs of each page are read before its files can be deleted, which costs PostgreSQL a third of the ' +
    'one statement. To read the next page while one is changed was tried: it takes a second connection, and a run whose ' +
    'connections were cut then failed more often.',
  'jobs: process-purge-retries': 'as for purge-expired-submissions.',
  'jobs: cleanup-stuck-runs':
    'no index knows started_at, so each page is found by a look through all runs that are RUNNING.',
  'emulator-lag':
    'each of the 5,000 requests passes the one thread of the emulator twice, as Cloud Scheduler and as the door of the ' +
    'service: 0.47 ms of processor time, of which 0.08 ms are system calls. The rest is spread thinly over the HTTP client ' +
    'and server of Node.js, the garbage they leave (a tenth) and the record of each attempt (a twelfth). Fewer ' +
    'deliveries at a time were tried and saved nothing.',
  'cold-start':
    'of what the worker takes besides, a third goes to compiling what its bundle has more than Fastify, most of it typebox ' +
    'and postgres.js. The rest is the connection to the database and three queries, without which the worker is not ready: ' +
    'on a busy machine they wait for PostgreSQL, which the bare Fastify never does.'
}
