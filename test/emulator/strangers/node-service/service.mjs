import { createServer } from 'node:http'

/** A stranger's service: a shop that cancels unpaid orders every hour, when called. */
export const startShop = async (orders, now) => {
  const server = createServer((request, response) => {
    if (request.method !== 'POST' || request.url !== '/tasks/cancel-unpaid') {
      response.writeHead(404).end()
      return
    }
    const limit = now().getTime() - 24 * 3_600_000
    for (const order of orders) if (!order.paid && order.placed.getTime() <= limit) order.cancelled ??= now()
    response.end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() }
}
