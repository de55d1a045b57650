import { element } from './element.js'

/**
 * Asks for confirmation before a job is run and, if wanted, for parameters of this run.
 *
 * @param {HTMLDialogElement} dialog
 * @param {{ job: string, text: string, withParameters: boolean }} question
 * @returns {Promise<{ verb: 'run' | 'dry-run', parameters?: object } | undefined>} undefined when cancelled.
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
            'Parameters of this run, as JSON, in addition to those of the stage',
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

/**
 * Asks for the stage's name before each action on the stage.
 *
 * @param {HTMLDialogElement} dialog
 * @param {{ stage: string, action: string }} question
 * @returns {Promise<string | undefined>} the name as typed; undefined when cancelled.
 */
export const askStageName = (dialog, { stage, action }) => {
  const { promise, resolve } = Promise.withResolvers()
  const input = element('input', {
    type: 'text',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    oninput: () => {
      confirm.disabled = input.value !== stage
    },
    onkeydown: (event) => {
      if (event.key !== 'Enter') return
      // Once the dialog is closed, the button that opened it has the focus and would treat this key as a click.
      event.preventDefault()
      confirm.click()
    }
  })
  const goOn = () => {
    resolve(input.value)
    dialog.close()
  }
  const confirm = element(
    'button',
    { type: 'button', class: 'danger', disabled: true, onclick: goOn },
    action
  )
  dialog.replaceChildren(
    element('h2', { id: 'confirmation-title' }, `${action} in ${stage}?`),
    element('p', {}, `This acts on ${stage} with your own rights.`),
    element('label', { class: 'field' }, `Type ${stage} to go on`, input),
    element(
      'div',
      { class: 'group' },
      confirm,
      element('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel')
    )
  )
  // Escape also closes the dialog.
  dialog.addEventListener('close', () => resolve(undefined), { once: true })
  dialog.showModal()
  input.focus()
  return promise
}

/** undefined when the text is empty, null when it is not an object. */
const readParameters = (text) => {
  if (text.trim() === '') return undefined
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}
