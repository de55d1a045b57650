import { Agent, globalAgent } from 'node:http'

const ours = ['127.0.0.1', 'localhost', '::1', '[::1]']

/**
 * Lets this process and those that it starts call their own machine directly: where the environment names a proxy
 * (NODE_USE_ENV_PROXY with http_proxy, or Google's clients by themselves), it would be asked for 127.0.0.1, which is
 * another machine to it. To be called before anything is sent.
 */
export const keepLoopback = (): void => {
  const others = process.env.no_proxy ?? process.env.NO_PROXY ?? ''
  if (others === '*') return
  const all = [...new Set([...others.split(/[\s,]+/).filter(Boolean), ...ours])].join(',')
  process.env.no_proxy = all
  process.env.NO_PROXY = all
  // It has read the environment already; fetch reads it at each call.
  if (process.env.NODE_USE_ENV_PROXY === '1')
    Object.assign(globalAgent, new Agent({ keepAlive: true, timeout: 5_000, proxyEnv: process.env }))
}
