import { Agent, globalAgent } from 'node:http'

const ours = ['127.0.0.1', 'localhost', '::1', '[::1]']

/**
 * Lets this process and its children call their own machine directly. If the environment names a proxy, requests to
 * 127.0.0.1 would go through it (from Google's clients always, from Node.js with NODE_USE_ENV_PROXY) and end up on the
 * proxy's machine. Call it before sending anything.
 */
export const keepLoopback = (): void => {
  const others = process.env.no_proxy ?? process.env.NO_PROXY ?? ''
  if (others === '*') return
  const all = [...new Set([...others.split(/[\s,]+/).filter(Boolean), ...ours])].join(',')
  process.env.no_proxy = all
  process.env.NO_PROXY = all
  // The agent has read the environment already; fetch reads it at each call.
  if (process.env.NODE_USE_ENV_PROXY === '1')
    Object.assign(globalAgent, new Agent({ keepAlive: true, timeout: 5_000, proxyEnv: process.env }))
}
