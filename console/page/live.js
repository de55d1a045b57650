const retryMs = 1_000

/**
 * Listens to what happens, for as long as the page is open.
 *
 * @param {Record<string, (data) => void>} listeners by the name of the event
 * @param {(state: 'live' | 'lost') => void} onState
 */
export const listen = (listeners, onState) => {
  const source = new EventSource('/api/events')
  for (const [name, listener] of Object.entries(listeners)) {
    source.addEventListener(name, (event) => listener(JSON.parse(event.data)))
  }
  source.addEventListener('open', () => onState('live'))
  source.addEventListener('error', () => {
    onState('lost')
    // The browser tries again by itself, unless the answer was something other than events.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(listeners, onState), retryMs)
  })
  // A page that is left must not hold a connection; one that comes back from the back/forward cache is loaded again.
  addEventListener('pagehide', () => source.close(), { once: true })
  addEventListener('pageshow', (event) => event.persisted && location.reload(), { once: true })
}
