const harmOfPurges =
  'a batch changes up to 1,000 rows with files and three groups are under way at a time, on two cores that serve the ' +
  'worker, its files, PostgreSQL and the load. In two runs with pages of 2,000 rows, the load’s p99 beside the two purges ' +
  'was 4 to 9 ms and the longest wait beside a purge 42 and 144 ms. With pages of 5,000, that wait was 166 ms, and on ' +
  'another machine, that of 29 November, the p99 was 25 to 31 ms.'

/** Why goals stay missed, by `benchmark: finding` or by benchmark; printed in docs/benchmarks.md. */
export const reasons: Readonly<Record<string, string>> = {
  jobs:
    'the batches of a delete take less than the one statement; in addition, a run counts its due rows and finds the end of ' +
    'each page but the last by index scans (12 and 5 ms of 110 ms), and takes a dozen round trips for its lease, its ' +
    'guards and its end (9 ms). Rounds of one job differ by more than that, in both directions.',
  'jobs: purge-expired-submissions':
    'each row with files is checked and locked just before its files are deleted, and locked and checked again before it is ' +
    'marked; the one statement does this once. Most of this happens while files are deleted, but the worker and ' +
    'PostgreSQL each work for three quarters of the run, where the reference keeps one of them busy at a time. PostgreSQL also cleans up full ' +
    'index pages more often for a thousand rows a statement than for all.',
  'jobs: process-purge-retries':
    'each retry is checked and locked with its submission just before its files are deleted, and again before both are ' +
    'changed; each batch also looks for submissions purged before. The one statement does neither.',
  'jobs: cleanup-stuck-runs':
    'the runs of a batch are locked by a statement of its own, so that their steps are judged as they are from then on, and ' +
    'changed by their keys (30 to 45 ms of 290 ms); the count reads all runs that are RUNNING, and lease, guards and end take ' +
    'a dozen round trips (20 ms). The one statement does neither. Pairs differ most here: for seconds at a time a core ' +
    'of this machine takes half as long again for everything, and a run is over in a third of a second.',
  'harm: purge-expired-submissions, p99 of the load': harmOfPurges,
  'harm: purge-expired-submissions, longest wait of all rounds': harmOfPurges,
  'harm: process-purge-retries, p99 of the load': harmOfPurges,
  harm:
    'no more than what the rounds differ by, in both directions. What waits longest are commits of the load behind a flush ' +
    'of the WAL, and one that takes long is the p99 of a whole run. The job and the one statement write the same WAL; for the ' +
    'batches, which do not wait for their commits, it is the WAL writer that flushes. Kept to the core of the work, where it ' +
    'had to wait for its turn, it made the p99 twice that during the one statement, 10.5 beside 4.7 ms for the sessions.',
  'stored-files':
    'Google’s client takes 0.7 ms of processor time for each deletion, all on the worker’s one thread: most of what it takes ' +
    'here, however many are under way. The limit only waits.',
  'emulator-lag':
    'each of the 5,000 requests passes the one thread of the emulator twice, as Cloud Scheduler and as the door of the ' +
    'service: 0.47 ms of processor time, of which 0.08 ms are system calls. The rest is spread thinly over the HTTP client ' +
    'and server of Node.js, the garbage they leave (a tenth) and the record of each attempt (a twelfth). Fewer ' +
    'deliveries at a time were tried and saved nothing.',
  'cold-start':
    'a third of the difference goes to compiling the rest of the worker’s bundle, mostly zod and the driver. ' +
    'The rest is the connection to the database and three queries, without which the worker is not ready: ' +
    'on a busy machine they wait for PostgreSQL, which the bare Fastify never does.',
  'first-call':
    'a JVM loads and compiles the classes of gRPC, Netty and the client with the first call, most of a second of processor ' +
    'time; the emulator answers it in a few milliseconds, as it does the other clients.'
}
