import { element } from './element.js'

/**
 * Asks before a job is run, and for parameters of this run.
 *
 * @param {HTMLDialogElement} dialog
 * @param {{ job: string, text: string, withParameters: boolean }} question
 * @returns {Promise<{ verb: 'run' | 'dry-run', parameters?: object } | undefined>} undefined where it is called off.
 */
export const askToRun = (dialog, { job, text, withParameters }) => {
  const { promise, resolve } = Promise.withResolvers()
  const fault = element('p', { class: 'fault', role: 'alert' })
  const field = element('textarea', {
    id: 'confirmation-parameters',
    rows: '3',
    spellcheck: 'false',
    placeholder: '{"batch_size": 100}'
  })
  let answer
  const close = (verb) => {
    const parameters = readParameters(field.value)
    if (parameters === null) {
      fault.textContent = 'The parameters must be a JSON object such as {"batch_size": 100}.'
      field.focus()
      return
    }
    answer = { verb, ...(parameters ? { parameters } : {}) }
    dialog.close()
  }
  const makeButton = (label, onclick, attributes = {}) =>
    element('button', { type: 'button', onclick, ...attributes }, label)
  dialog.replaceChildren(
    element('h2', { id: 'confirmation-title' }, `Run ${job}?`),
    element('p', {}, text),
    ...(withParameters
      ? [
          element(
            'label',
            { class: 'parameters' },
            'Parameters of this run, as JSON, besides those of the stage',
            field
          ),
          fault
        ]
      : []),
    element(
      'div',
      { class: 'group' },
      makeButton('Dry run first', () => close('dry-run')),
      makeButton('Run now', () => close('run'), { class: 'danger' }),
      makeButton('Cancel', () => dialog.close())
    )
  )
  dialog.addEventListener('close', () => resolve(answer), { once: true })
  dialog.showModal()
  return promise
}

/** undefined where nothing is written, null where it is no object. */
const readParameters = (text) => {
  if (text.trim() === '') return undefined
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}
