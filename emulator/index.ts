import { createRealClock, createVirtualClock } from './clock.ts'
import type { VirtualClock } from './clock.ts'
import { startEmulator as start } from './emulator.ts'
import type { PublishedMessage } from './pubsub/publisher.ts'
import type { Attempt } from './scheduler/attempt.ts'
import type { JobMethods } from './scheduler/job-methods.ts'

export type { PublishedMessage } from './pubsub/publisher.ts'
export type { Attempt, Outcome } from './scheduler/attempt.ts'
export type { Job } from './scheduler/job-message.ts'
export type { JobMethods } from './scheduler/job-methods.ts'

export interface EmulatorOptions {
  /** A free one by default. */
  readonly port?: number
  /** 127.0.0.1 by default. Anyone who can reach it may do anything. */
  readonly host?: string
  /** The only project served; any by default. */
  readonly project?: string
  /** The locations served; any by default. */
  readonly locations?: readonly string[]
  /** Starts virtual time at this instant, for `advance` to move; without it, time is the machine's. */
  readonly clock?: Date | string
  /** Stores jobs, attempts and the signing key; by default they are in memory. */
  readonly dataDirectory?: string
  /** The share of ticks to deliver twice, from 0 to 1: at-least-once delivery on demand. */
  readonly duplicate?: number
  /** `HOST:PORT` of a Pub/Sub emulator; without one, `messages` lists what was published. */
  readonly pubsubEmulatorHost?: string
  /** The URL that gets requests with an oauthToken instead of `https://*.googleapis.com`. */
  readonly googleApis?: string
}

/** A Cloud Scheduler for one test. */
export interface Emulator extends AsyncDisposable {
  /** Base URL of the REST API; gRPC is on the same port. */
  readonly url: string
  readonly port: number
  /** Cloud Scheduler's methods without a client; `body` is a job in the JSON of Google's API. */
  readonly jobs: JobMethods
  now(): Date
  /** Advances virtual time, firing everything due on the way, and waits for the answers. */
  advance(by: {
    readonly days?: number
    readonly hours?: number
    readonly minutes?: number
    readonly seconds?: number
  }): Promise<void>
  advanceTo(instant: Date | string): Promise<void>
  /** The attempts so far of one job (by full name) or of all, oldest first. */
  attempts(job?: string): Attempt[]
  /** Messages published by jobs with a Pub/Sub target, oldest first. */
  messages(topic?: string): PublishedMessage[]
  /** An OIDC token like those that jobs send; `<url>/oauth2/v3/certs` has the key that verifies it. */
  mintToken(email: string, audience: string): Promise<string>
  stop(): Promise<void>
}

/**
 * Starts an emulator in this process.
 *
 * @throws Error with a one-sentence message when an option is invalid, a port is taken or the data directory is
 *   unusable.
 */
export const startEmulator = async (options: EmulatorOptions = {}): Promise<Emulator> => {
  const { clock: from, port = 0, ...rest } = options
  const virtual = from === undefined ? undefined : createVirtualClock(new Date(from))
  const emulator = await start({ ...rest, port, frontPort: 0, clock: virtual ?? createRealClock() })
  return {
    url: emulator.schedulerUrl,
    port: Number(new URL(emulator.schedulerUrl).port),
    jobs: emulator.jobs,
    now: () => emulator.clock.now(),
    advance: async ({ days = 0, hours = 0, minutes = 0, seconds = 0 }) =>
      needVirtual(virtual).advanceBy((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000),
    advanceTo: async (instant) => needVirtual(virtual).advanceTo(new Date(instant)),
    attempts: (job) => emulator.listAttempts(job === undefined ? {} : { job }).toReversed(),
    messages: (topic) => emulator.listMessages(topic),
    mintToken: (email, audience) => emulator.mintToken(email, audience),
    stop: () => emulator.stop(),
    [Symbol.asyncDispose]: () => emulator.stop()
  }
}

const needVirtual = (clock: VirtualClock | undefined): VirtualClock => {
  if (clock) return clock
  throw new Error(
    "the clock must be virtual to be advanced, got the machine's: start with { clock: '2026-10-03T15:00:00Z' }"
  )
}
