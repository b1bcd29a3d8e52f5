/** The page: builds the parts and tells each what concerns it. */
import type { LiveEvent } from '../api/api.ts'
import { AlertsPanel } from './alerts.ts'
import { AnomaliesPanel } from './anomalies.ts'
import { Api } from './api.ts'
import { browserWorld } from './browser-world.ts'
import { ChartPanel, type Selection } from './chart.ts'
import { DevicesPanel } from './devices.ts'
import { byId, setText } from './dom.ts'
import { refreshAges } from './format.ts'
import { LiveConnection, type LiveState } from './live.ts'
import { RatePanel } from './rate.ts'
import { SignIn } from './sign-in.ts'
import { StreamJobLine } from './stream-job.ts'

/** Ages and the time to the next try are told in seconds. */
const TEXTS_INTERVAL_MS = 1000

const STATE_TEXTS = {
  connecting: 'Connecting',
  open: 'Live',
  waiting: 'Connection lost',
  closed: 'Signed out',
}

class Page {
  readonly #page = byId('page')
  readonly #connection = byId('connection')
  readonly #connectionText = byId('connection-text')
  readonly #connectionWait = byId('connection-wait')
  readonly #retry = byId('connection-retry', HTMLButtonElement)
  readonly #signOut = byId('sign-out', HTMLButtonElement)
  readonly #api = new Api(browserWorld.clock, () => this.#askToSignIn())
  // From scratch: who signs in again may face another data folder with other devices.
  readonly #signIn = new SignIn(this.#api, () => location.reload())
  readonly #rate = new RatePanel()
  readonly #streamJob = new StreamJobLine()
  readonly #chart = new ChartPanel(this.#api, browserWorld, {
    onSelect: (selection) => remember(selection),
    describe: (deviceId) => this.#devices.describe(deviceId),
  })
  readonly #devices = new DevicesPanel(this.#api, browserWorld, {
    onChoose: (deviceId) => this.#choose({ deviceId, metric: undefined }),
    onShown: (deviceIds) => this.#follow(deviceIds),
  })
  readonly #alerts = new AlertsPanel(this.#api, {
    onChoose: (deviceId, metric) => this.#choose({ deviceId, metric }),
    onFiring: (deviceIds) => {
      this.#rate.showFiring(deviceIds.size)
      this.#devices.showFiring(deviceIds)
    },
  })
  readonly #anomalies = new AnomaliesPanel(this.#api, (deviceId, metric) =>
    this.#choose({ deviceId, metric }),
  )
  readonly #live = new LiveConnection(this.#api, browserWorld, {
    onEvent: (event) => this.#onEvent(event),
    onOpen: ({ isMove }) => this.#refill(isMove),
    onState: (state) => this.#showState(state),
  })
  #shown: readonly string[] = []
  #state: LiveState = { name: 'connecting' }

  async start(): Promise<void> {
    this.#retry.addEventListener('click', () => this.#live.retryNow())
    this.#signOut.addEventListener('click', () => {
      void this.#api.closeSession().then(() => this.#askToSignIn())
    })
    window.addEventListener('online', () => this.#live.retryNow())
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#live.retryNow()
    })
    window.addEventListener('hashchange', () => this.#chooseRemembered())
    browserWorld.clock.every(TEXTS_INTERVAL_MS, () => {
      refreshAges(this.#api.nowMs())
      this.#streamJob.refresh(this.#api.nowMs())
      this.#showWait()
    })
    await this.#signIn.useAddress()
    this.#open()
  }

  #open(): void {
    this.#page.hidden = false
    this.#signOut.hidden = false
    this.#chooseRemembered()
    this.#live.follow(this.#followed)
  }

  #askToSignIn(): void {
    this.#live.close()
    this.#page.hidden = true
    this.#signOut.hidden = true
    this.#signIn.show()
  }

  /** A move has missed only what the newly followed devices said meanwhile. */
  #refill(isMove: boolean): void {
    void this.#chart.refill().then(() => this.#follow(this.#shown))
    if (isMove) return
    void this.#alerts.refill()
    void this.#anomalies.refill()
    void this.#devices.load().then(() => this.#chooseFirst())
  }

  /** A newcomer sees a chart at once, without knowing where to click. */
  #chooseFirst(): void {
    const first = this.#devices.firstId
    if (this.#chart.deviceId === undefined && first !== undefined) {
      this.#choose({ deviceId: first, metric: undefined })
    }
  }

  #chooseRemembered(): void {
    const selection = remembered()
    if (selection !== undefined) this.#choose(selection)
  }

  #choose(selection: Selection): void {
    this.#devices.choose(selection.deviceId)
    const { deviceId, metric } = selection
    void this.#chart.select(deviceId, metric).then(() => this.#follow(this.#shown))
  }

  get #followed(): string[] {
    const chosen = this.#chart.followedId
    return chosen === undefined ? [...this.#shown] : [chosen, ...this.#shown]
  }

  #follow(shown: readonly string[]): void {
    this.#shown = shown
    // What was under way when the session ended must not open the connection again.
    if (this.#page.hidden) return
    this.#live.follow(this.#followed)
  }

  #onEvent({ event, data }: LiveEvent): void {
    if (event === 'rate') {
      this.#rate.show(data)
      void this.#devices.onCount(data.devices).then(() => this.#chooseFirst())
    } else if (event === 'alert') this.#alerts.onAlert(data)
    else if (event === 'anomaly') this.#anomalies.onAnomaly(data)
    else if (event === 'stream') this.#streamJob.show(data, this.#api.nowMs())
    else if (event === 'reading') {
      this.#chart.onReading(data)
      this.#devices.onReading(data)
    }
  }

  #showWait(): void {
    const { monotonicMs } = browserWorld.clock
    const waitMs = this.#state.name === 'waiting' ? this.#state.retryAtMs - monotonicMs() : 0
    setText(this.#connectionWait, waitMs > 0 ? `next try in ${Math.ceil(waitMs / 1000)} s` : '')
  }

  #showState(state: LiveState): void {
    this.#state = state
    this.#connection.dataset['state'] = state.name
    setText(this.#connectionText, STATE_TEXTS[state.name])
    this.#showWait()
    this.#retry.hidden = state.name !== 'waiting'
    if (state.name !== 'open') this.#rate.pause()
  }
}

/** The choice lives in the address' fragment, so that a reload or a shared link keeps it. */
function remember({ deviceId, metric }: Selection): void {
  const fragment = new URLSearchParams({ device: deviceId, ...(metric ? { metric } : {}) })
  history.replaceState(history.state, '', `#${fragment}`)
}

function remembered(): Selection | undefined {
  const fragment = new URLSearchParams(location.hash.slice(1))
  const deviceId = fragment.get('device')
  if (deviceId === null) return undefined
  return { deviceId, metric: fragment.get('metric') ?? undefined }
}

await new Page().start()
