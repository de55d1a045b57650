/** A sentence for people about a request that came to nothing. */
export class RequestError extends Error {
  /** Whether it is only for now that this can't be had: the page has said so once, and goes on by itself. */
  isForNow = false
}

const unreachable = 'The local system does not answer. Start it with npm start; this page goes on by itself.'

/** Reads JSON. */
export const read = (path) => send(path, {})

/** Asks for something to be done. The type alone keeps pages of other sites from asking the same. */
export const ask = (path, body = {}) =>
  send(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

const send = async (path, options) => {
  const response = await fetch(path, options).catch((cause) => {
    throw Object.assign(new RequestError(unreachable, { cause }), { isForNow: true })
  })
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  const message = answer.error?.message ?? `The system answered ${response.status} to ${path}.`
  throw Object.assign(new RequestError(message), { isForNow: response.status === 503 })
}

/** A query string of what is set. */
export const toQuery = (parameters) => {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '')
  return set.length === 0 ? '' : `?${new URLSearchParams(set)}`
}
