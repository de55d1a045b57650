import type { Answer } from '../scheduler/attempt.ts'
import type { Deliverer } from '../scheduler/delivery.ts'
import type { Clock } from '../clock.ts'
import { formatTimestamp } from '../google-api/timestamp.ts'

/** A message as subscribers would get it. */
export interface PublishedMessage {
  /** `projects/P/topics/T`. */
  readonly topic: string
  readonly messageId: string
  readonly publishTime: string
  /** Base64. */
  readonly data?: string
  readonly attributes?: Readonly<Record<string, string>>
}

/** Publishes the messages of jobs with a Pub/Sub target. */
export interface Publisher {
  publish(topic: string, message: MessageContent, deadline: AbortSignal): Promise<Answer>
  /** The latest messages of one topic or of all, oldest first; none of those sent to a Pub/Sub emulator. */
  listMessages(topic?: string): PublishedMessage[]
}

export type MessageContent = Pick<PublishedMessage, 'data' | 'attributes'>

const kept = 10_000

/** @param emulatorHost `HOST:PORT` of a Pub/Sub emulator; without one, messages are kept here, in memory. */
export const createPublisher = (
  emulatorHost: string | undefined,
  deliverer: Pick<Deliverer, 'deliver'>,
  clock: Pick<Clock, 'now'>
): Publisher => {
  const messages: PublishedMessage[] = []
  let lastId = 0

  const keep = (topic: string, content: MessageContent): Answer => {
    lastId += 1
    const messageId = String(lastId)
    messages.push({ topic, messageId, publishTime: formatTimestamp(clock.now()), ...content })
    if (messages.length > kept) messages.shift()
    return { kind: 'answer', statusCode: 200, body: JSON.stringify({ messageIds: [messageId] }) }
  }

  const pass = (
    host: string,
    topic: string,
    content: MessageContent,
    deadline: AbortSignal
  ): Promise<Answer> => {
    const body = Buffer.from(JSON.stringify({ messages: [content] }))
    return deliverer.deliver({
      method: 'POST',
      url: `http://${host}/v1/${topic}:publish`,
      headers: { 'Content-Type': 'application/json', 'Content-Length': String(body.length) },
      body,
      deadline
    })
  }

  return {
    publish: async (topic, content, deadline) =>
      emulatorHost === undefined ? keep(topic, content) : pass(emulatorHost, topic, content, deadline),
    listMessages: (topic) => messages.filter((message) => topic === undefined || message.topic === topic)
  }
}
