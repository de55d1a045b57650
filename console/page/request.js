/** A failed request, explained in a sentence for people. */
export class RequestError extends Error {
  /** Whether the failure is temporary: the page has already said so, and recovers by itself. */
  isForNow = false
}

let restart

/** Sets the command that restarts this page's server, if it is not npm start. */
export const useRestart = (command) => {
  restart = command
}

/** What to do once this page's server has stopped. */
export const describeRestart = () =>
  restart
    ? `what serves this page has stopped. Start it again with ${restart}, and open the address that it prints.`
    : 'the local system has stopped. Start it with npm start on the same port; this page reconnects by itself.'

/** The name of the connection's state while some parts are unavailable. */
export const describePart = () => (restart ? 'live, but incomplete' : 'live, without the database')

const describeSilence = () =>
  restart
    ? `What serves this page does not answer. Start it again with ${restart}.`
    : 'The local system does not answer. Start it with npm start; this page reconnects by itself.'

/** Reads JSON. */
export const read = (path) => send(path, {})

/** Requests an action. The content type alone keeps pages of other sites from doing the same. */
export const ask = (path, body = {}) =>
  send(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

const send = async (path, options) => {
  const response = await fetch(path, options).catch((cause) => {
    throw Object.assign(new RequestError(describeSilence(), { cause }), { isForNow: true })
  })
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  const message = answer.error?.message ?? `The system answered ${response.status} to ${path}.`
  // On a remote stage each part has its own reason: a missing permission, a quota, or data that the source never has.
  throw Object.assign(new RequestError(message), { isForNow: response.status === 503 && !restart })
}

/** A query string of the parameters that are set. */
export const toQuery = (parameters) => {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '')
  return set.length === 0 ? '' : `?${new URLSearchParams(set)}`
}
