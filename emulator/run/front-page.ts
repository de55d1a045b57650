import type { IncomingMessage, ServerResponse } from 'node:http'

/** Cloud Run's page for a caller that it does not let in. */
export const refuseCaller = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  statusCode: 401 | 403
): void => {
  // The body is not read, so the connection can't be reused.
  outgoing.setHeader('Connection', 'close')
  if (statusCode === 401) {
    outgoing.setHeader(
      'WWW-Authenticate',
      'Bearer error="invalid_token" error_description="The access token could not be verified"'
    )
    sendPage(outgoing, 401, 'Unauthorized', 'The access token could not be verified.')
  } else {
    const path = escapeHtml((incoming.url ?? '/').split('?')[0] ?? '/')
    const text = `Your client does not have permission to get URL <code>${path}</code> from this server.`
    sendPage(outgoing, 403, 'Forbidden', text)
  }
}

/** The page for a request that is not passed on, regardless of its caller. */
export const refuseRequest = (
  outgoing: ServerResponse,
  { statusCode, text }: { readonly statusCode: 400 | 501; readonly text: string }
): void => {
  // The end of the body is in doubt, so nothing that follows on the connection can be trusted.
  outgoing.setHeader('Connection', 'close')
  sendPage(outgoing, statusCode, statusCode === 400 ? 'Bad Request' : 'Not Implemented', text)
}

/** An error page in the form of Google's front end. */
export const sendPage = (outgoing: ServerResponse, statusCode: number, title: string, text: string): void => {
  outgoing.writeHead(statusCode, { 'Content-Type': 'text/html; charset=UTF-8' })
  outgoing.end(
    `<html><head>\n<meta http-equiv="content-type" content="text/html;charset=utf-8">\n` +
      `<title>${statusCode} ${title}</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n` +
      `<h1>Error: ${title}</h1>\n<h2>${text}</h2>\n<h2></h2>\n</body></html>\n`
  )
}

export const sendText = (outgoing: ServerResponse, statusCode: number, text: string): void => {
  outgoing.writeHead(statusCode, { 'Content-Type': 'text/plain' })
  outgoing.end(text)
}

const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
