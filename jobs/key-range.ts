/** The key of a row in the order of its due time. */
export interface Key {
  /** A timestamptz as PostgreSQL's text: a Date would lose its microseconds, and rows with them. */
  readonly at: string
  readonly id: string
}

/** The due rows after `from` up to and including `to`. */
export interface KeyRange {
  readonly from?: Key
  readonly to: Key
}
