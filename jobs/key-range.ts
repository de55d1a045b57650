/** The key of a row in the order of its due time. */
export interface Key {
  /** A timestamptz as PostgreSQL's text: a Date would lose its microseconds, and rows with them. */
  readonly at: string
  readonly id: string
}

/** A place in the order of the rows. Without an id it lies behind all rows of its time. */
export interface Bound {
  readonly at: string
  readonly id?: string
}

/** The due rows after `from` up to and including `to`. */
export interface KeyRange {
  readonly from?: Bound
  readonly to: Bound
}
