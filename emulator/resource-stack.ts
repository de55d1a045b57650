/**
 * What has been opened, to be closed in the opposite order: as the AsyncDisposableStack of Node.js 24, which Node.js 22 does
 * not have.
 */
export class ResourceStack implements AsyncDisposable {
  #closers: (() => unknown)[] = []

  adopt<Resource>(resource: Resource, close: (resource: Resource) => unknown): Resource {
    this.#closers.push(() => close(resource))
    return resource
  }

  /** A stack that holds all of it from now on; this one holds nothing then. */
  move(): ResourceStack {
    const moved = new ResourceStack()
    moved.#closers = this.#closers
    this.#closers = []
    return moved
  }

  /** The first error of a closer is thrown when all have been called. */
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
