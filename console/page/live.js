const retryMs = 1_000

/**
 * Listens to events for as long as the page is open.
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
    // The browser reconnects by itself, unless the answer was not an event stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(listeners, onState), retryMs)
  })
  // A page that is left must not hold a connection; one restored from the back/forward cache is reloaded.
  addEventListener('pagehide', () => source.close(), { once: true })
  addEventListener('pageshow', (event) => event.persisted && location.reload(), { once: true })
}
