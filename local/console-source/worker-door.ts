import { findReadinessFault } from '../../jobs/answer.ts'

/** Where the worker is, and the token for calling it. */
export interface WorkerDoor {
  readonly url: string
  readonly mintToken: () => Promise<string>
}

const patience = 3_000

/** Asks the worker why its database does not answer; undefined if it does. */
export const findDatabaseFault = ({ url, mintToken }: WorkerDoor): Promise<string | undefined> =>
  findReadinessFault(async () =>
    fetch(`${url}/health/ready`, {
      headers: { authorization: `Bearer ${await mintToken()}` },
      signal: AbortSignal.timeout(patience)
    })
  )
