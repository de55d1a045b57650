/** Picks whole numbers below a limit, reproducible by seed (mulberry32: small, and good enough for picking moments). */
export const makeRandom = (seed: number): ((limit: number) => number) => {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

/** The seed of this run's faults: FAULTS_SEED=… repeats one. */
export const faultSeed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** How many moments are tried: FAULTS_ROUNDS=17 in `npm run test:faults`. */
export const faultRounds = Number(process.env.FAULTS_ROUNDS ?? 1)
