import { describe, expect, it } from 'vitest'
import type { Emulator } from '../../../emulator/emulator.ts'
import { startReceiver, startTestEmulator } from '../harness.ts'
import { readStatuses, sendRaw } from '../raw-http.ts'

const invoker = 'caller@test-project.iam.gserviceaccount.com'
const startGuarded = (upstream: string) =>
  startTestEmulator('2026-06-01T00:00:30Z', {
    services: [{ name: 'worker', region: 'australia-southeast1', invokers: [invoker], upstream }]
  })
const urlOf = (emulator: Emulator): string => emulator.fronts[0]?.url ?? ''
const tokenOf = (emulator: Emulator): Promise<string> => emulator.mintToken(invoker, urlOf(emulator))

// Bytes that an attacker hopes the service reads as a separate request, answered to somebody else.
const hidden = 'GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n'
const chunked = `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`

describe('a request within the body of another', () => {
  const methods = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'TRACE']
  it.each(
    methods.flatMap((method) => [
      { method, framing: `Content-Length: ${hidden.length}`, body: hidden, named: 'content-length' },
      { method, framing: 'Transfer-Encoding: chunked', body: chunked, named: 'transfer-encoding' },
      { method, framing: 'Transfer-Encoding: Chunked', body: chunked, named: 'nothing' }
    ])
  )('of $method stays its body: $framing, Connection: $named', async ({ method, framing, body, named }) => {
    await using receiver = await startReceiver()
    await using emulator = await startGuarded(receiver.url)
    const head =
      `${method} /outer HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${await tokenOf(emulator)}\r\n` +
      `${framing}\r\nConnection: close, ${named}\r\n\r\n`
    expect(readStatuses(await sendRaw(urlOf(emulator), head + body))).toEqual([200])
    expect(receiver.received).toMatchObject([{ method, url: '/outer', body: hidden }])
  })

  it('goes to the service with the host that was asked for, whatever Connection names', async () => {
    await using receiver = await startReceiver()
    await using emulator = await startGuarded(receiver.url)
    await sendRaw(
      urlOf(emulator),
      `GET / HTTP/1.1\r\nHost: mine\r\nAuthorization: Bearer ${await tokenOf(emulator)}\r\nConnection: close, host\r\n\r\n`
    )
    expect(receiver.received[0]?.headers.host).toBe('mine')
  })

  it.each([
    { title: 'two lengths', lines: ['Content-Length: 0', `Content-Length: ${hidden.length}`], status: 400 },
    { title: 'a length in a list', lines: [`Content-Length: 0, ${hidden.length}`], status: 400 },
    { title: 'a length with a sign', lines: [`Content-Length: +${hidden.length}`], status: 400 },
    {
      title: 'a length beside chunks',
      lines: [`Content-Length: ${hidden.length}`, 'Transfer-Encoding: chunked'],
      status: 400
    },
    { title: 'a coding before chunks', lines: ['Transfer-Encoding: gzip, chunked'], status: 501 },
    { title: 'a coding that is none', lines: ['Transfer-Encoding: xchunked'], status: 501 },
    {
      title: 'two codings',
      lines: ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
      status: 400
    },
    { title: 'two hosts', lines: ['Host: b'], status: 400 }
  ])('is refused with $title', async ({ lines, status }) => {
    await using receiver = await startReceiver()
    await using emulator = await startGuarded(receiver.url)
    const answer = await sendRaw(
      urlOf(emulator),
      `POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${await tokenOf(emulator)}\r\n${lines.join('\r\n')}\r\n\r\n${chunked}`
    )
    expect(readStatuses(answer)).toEqual([status])
    expect(receiver.received).toEqual([])
  })
})

describe('headers that are half sent', () => {
  it.concurrent.each(['front', 'API'])('to the %s end with 408', async (where) => {
    await using emulator = await startGuarded('http://127.0.0.1:9')
    const url = where === 'API' ? emulator.schedulerUrl : urlOf(emulator)
    expect(readStatuses(await sendRaw(url, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: '))).toEqual([408])
  })
})
