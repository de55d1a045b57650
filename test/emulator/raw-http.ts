import { connect } from 'node:net'

/** Sends raw text, as no client would, over a connection of its own, and reads until the peer closes it. */
export const sendRaw = (url: string, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      answer += chunk
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
    socket.write(text)
  })

/** The status codes of the answers in raw HTTP text, in order. */
export const readStatuses = (answer: string): number[] =>
  [...answer.matchAll(/HTTP\/1\.1 ([0-9]{3})/g)].map(([, status]) => Number(status))
