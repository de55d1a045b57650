/**
 * Makes an element. Text children become text nodes, never HTML, so a job's name is shown as written.
 *
 * @param {string} tag
 * @param {Record<string, string | number | boolean | Function | undefined>} [attributes] functions become `on…`
 * listeners; false and undefined omit the attribute.
 * @param {...(Node | string | number | undefined | false)} children
 */
export const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined) continue
    if (typeof value === 'function') made.addEventListener(name.slice(2), value)
    else made.setAttribute(name, value === true ? '' : String(value))
  }
  made.append(...children.filter((child) => child !== undefined && child !== false).map(toNode))
  return made
}

const toNode = (child) => (child instanceof Node ? child : document.createTextNode(String(child)))

/** The element with an id, which the page must have. */
export const find = (id) => document.getElementById(id)

/** Changes a text only if it differs, so that it disturbs neither a selection nor a screen reader. */
export const setText = (target, text) => {
  if (target.textContent !== text) target.textContent = text
}

/**
 * Makes a container's children match a list. A child whose digest is the same keeps its node, so that changes elsewhere
 * in the list disturb neither the focus nor a click in progress.
 *
 * @param {Element} container
 * @param {readonly unknown[]} items
 * @param {{ key: (item) => string, digest: (item) => string, make: (item) => HTMLElement }} how
 */
export const reconcile = (container, items, { key, digest, make }) => {
  const known = new Map([...container.children].map((child) => [child.dataset.key, child]))
  let place = container.firstElementChild
  for (const item of items) {
    const old = known.get(key(item))
    known.delete(key(item))
    if (old && old.dataset.digest === digest(item)) {
      if (old === place) place = place.nextElementSibling
      else container.insertBefore(old, place)
      continue
    }
    const made = make(item)
    made.dataset.key = key(item)
    made.dataset.digest = digest(item)
    if (!old) {
      container.insertBefore(made, place)
      continue
    }
    const isFocused = old.contains(document.activeElement)
    if (old === place) place = place.nextElementSibling
    old.remove()
    container.insertBefore(made, place)
    if (isFocused) (made.matches('button') ? made : made.querySelector('button'))?.focus()
  }
  for (const left of known.values()) left.remove()
}

/** A message with advice, in place of content that can't be shown. */
export const describeState = (title, advice, kind = 'empty') =>
  element(
    'div',
    { class: `state ${kind}`, role: kind === 'error' ? 'alert' : undefined },
    element('p', { class: 'state-title' }, title),
    element('p', { class: 'note' }, advice)
  )

/** In place of content that could not be read: a quiet line if the banner has said why, otherwise the reason. */
export const describeFault = (title, error) =>
  error.isForNow
    ? element('p', { class: 'note waiting' }, `${title} It comes back by itself.`)
    : describeState(title, error.message, 'error')

/** Restates the roles of a table's parts: browsers drop them when CSS lays the table out as cards, on a narrow page. */
export const keepRoles = (root) => {
  for (const part of [root, ...root.querySelectorAll('thead, tbody, tr, th, td')]) {
    const role = part.scope === 'row' ? 'rowheader' : roles[part.localName]
    if (role) part.setAttribute('role', role)
  }
  return root
}

const roles = {
  table: 'table',
  thead: 'rowgroup',
  tbody: 'rowgroup',
  tr: 'row',
  th: 'columnheader',
  td: 'cell'
}
