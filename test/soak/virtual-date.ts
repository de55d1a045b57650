/**
 * Preloaded into the worker's process: stops its clock at VIRTUAL_NOW (milliseconds since 1970), then at each instant
 * that its parent sends. The worker itself knows nothing of it.
 */
const RealDate = Date
let now = Number(process.env.VIRTUAL_NOW)

class VirtualDate extends RealDate {
  constructor(...parts: number[]) {
    super(...((parts.length === 0 ? [now] : parts) as [number]))
  }
  static override now(): number {
    return now
  }
}

globalThis.Date = VirtualDate as DateConstructor
process.on('message', (message: { now: number }) => {
  now = message.now
  process.send?.(message)
})
// However a soak ends, it leaves no worker running.
process.once('disconnect', () => process.exit())
// The channel must not keep the process alive.
process.channel?.unref()
