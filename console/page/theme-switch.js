const order = ['system', 'light', 'dark']

/**
 * Makes the button cycle through the themes: the system's, light, dark. The choice stays in this browser.
 *
 * @param {HTMLButtonElement} button
 * @param {() => void} onChange called when the theme changes, through the button or the system.
 */
export const startThemeSwitch = (button, onChange) => {
  const { dataset } = document.documentElement
  const show = () => {
    button.textContent = `Theme: ${dataset.theme ?? 'system'}`
  }
  button.addEventListener('click', () => {
    const next = order[(order.indexOf(dataset.theme ?? 'system') + 1) % order.length]
    if (next === 'system') {
      delete dataset.theme
      localStorage.removeItem('theme')
    } else {
      dataset.theme = next
      localStorage.setItem('theme', next)
    }
    show()
    onChange()
  })
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange)
  show()
}
