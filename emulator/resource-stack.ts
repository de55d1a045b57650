/**
 * Closes what has been opened, in reverse order, like the AsyncDisposableStack of Node.js 24, which Node.js 22 does not
 * have.
 */
export class ResourceStack implements AsyncDisposable {
  #closers: (() => unknown)[] = []

  adopt<Resource>(resource: Resource, close: (resource: Resource) => unknown): Resource {
    this.#closers.push(() => close(resource))
    return resource
  }

  /** Moves everything to a new stack and leaves this one empty. */
  move(): ResourceStack {
    const moved = new ResourceStack()
    moved.#closers = this.#closers
    this.#closers = []
    return moved
  }

  /** Calls every closer, then throws the first error. */
  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = []
    for (const close of this.#closers.splice(0).toReversed()) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
