/** Where the worker is, and who may call it. */
export interface WorkerDoor {
  readonly url: string
  readonly mintToken: () => Promise<string>
}

const patience = 3_000

/** Asks the worker why its database does not answer; undefined where it does. */
export const findDatabaseFault = async ({ url, mintToken }: WorkerDoor): Promise<string | undefined> => {
  try {
    const answer = await fetch(`${url}/health/ready`, {
      headers: { authorization: `Bearer ${await mintToken()}` },
      signal: AbortSignal.timeout(patience)
    })
    if (answer.ok) return undefined
    const { error } = (await answer.json().catch(() => ({}))) as { error?: string }
    return error ?? `the worker answers ${answer.status} to /health/ready`
  } catch {
    return 'the worker does not answer'
  }
}
