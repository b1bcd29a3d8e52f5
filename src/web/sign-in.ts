/**
 * Signing in: the address printed in the terminal carries a one-time code, which is traded for a
 * session cookie and removed from the address bar, so that it ends up in no history or screenshot.
 */
import { RequestError, type Api } from './api.ts'
import { byId, setText } from './dom.ts'

const USED_CODE =
  'This code was used already, is older than 10 minutes, or is mistyped. `weir sign-in` prints a new one.'

export class SignIn {
  readonly #api: Pick<Api, 'openSession'>
  readonly #onSignedIn: () => void
  readonly #section = byId('sign-in')
  readonly #code = byId('sign-in-code', HTMLInputElement)
  readonly #problem = byId('sign-in-problem')

  constructor(api: Pick<Api, 'openSession'>, onSignedIn: () => void) {
    this.#api = api
    this.#onSignedIn = onSignedIn
    byId('sign-in-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#submit()
    })
  }

  /**
   * Uses up the address' code, if there is one. An old code is no problem for who has a session.
   */
  async useAddress(): Promise<void> {
    const address = new URL(location.href)
    const code = address.searchParams.get('code')
    if (code === null) return
    address.searchParams.delete('code')
    history.replaceState(history.state, '', address)
    await this.#trade(code)
  }

  show(): void {
    if (!this.#section.hidden) return
    this.#section.hidden = false
    this.#code.focus()
  }

  async #submit(): Promise<void> {
    setText(this.#problem, '')
    if (!(await this.#trade(this.#code.value.trim()))) return this.#code.select()
    this.#code.value = ''
    this.#onSignedIn()
  }

  async #trade(code: string): Promise<boolean> {
    try {
      await this.#api.openSession(code)
      return true
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      setText(this.#problem, error.status === 401 ? USED_CODE : `${error.message} ${error.hint}`)
      return false
    }
  }
}
