/** A sentence for people about a request that came to nothing. */
export class RequestError extends Error {
  /** Whether it is only for now that this can't be had: the page has said so once, and goes on by itself. */
  isForNow = false
}

let restart

/** Takes the command that starts again what serves this page, where it is not npm start. */
export const useRestart = (command) => {
  restart = command
}

/** What to do about a page that nobody serves any more. */
export const describeRestart = () =>
  restart
    ? `what serves this page has stopped. Start it again with ${restart}, and open the address that it prints.`
    : 'the local system has stopped. Start it with npm start on the same port; this page goes on by itself.'

/** What a connection is called over which not all can be had. */
export const describePart = () => (restart ? 'live, without all of it' : 'live, without the database')

const describeSilence = () =>
  restart
    ? `What serves this page does not answer. Start it again with ${restart}.`
    : 'The local system does not answer. Start it with npm start; this page goes on by itself.'

/** Reads JSON. */
export const read = (path) => send(path, {})

/** Asks for something to be done. The type alone keeps pages of other sites from asking the same. */
export const ask = (path, body = {}) =>
  send(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

const send = async (path, options) => {
  const response = await fetch(path, options).catch((cause) => {
    throw Object.assign(new RequestError(describeSilence(), { cause }), { isForNow: true })
  })
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  const message = answer.error?.message ?? `The system answered ${response.status} to ${path}.`
  // Of a stage elsewhere each part has reasons of its own: a right, a quota, or what is not there at all.
  throw Object.assign(new RequestError(message), { isForNow: response.status === 503 && !restart })
}

/** A query string of what is set. */
export const toQuery = (parameters) => {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '')
  return set.length === 0 ? '' : `?${new URLSearchParams(set)}`
}
