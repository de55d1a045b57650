/**
 * Loaded into the worker's process before the worker: its clock stands at VIRTUAL_NOW (milliseconds since 1970), and at
 * what its parent sends later. The worker itself knows nothing of it.
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
// A soak that ends in any way leaves no worker.
process.once('disconnect', () => process.exit())
// The channel must not keep the process alive.
process.channel?.unref()
