/** Alerts: what fires stands above what is over, the newest first; people acknowledge them here. */
import type { AlertBody } from '../api/api.ts'
import { RequestError, type Api } from './api.ts'
import { byId, button, element, oncePerFrame, setText } from './dom.ts'
import { ageElement, formatDuration, formatFull, formatValue } from './format.ts'
import { newest } from './newest.ts'

/** Kept in memory and asked for; the older ones are a query away. */
const ALERTS_MAX = 200
const ROWS_MAX = 50

export interface AlertsListener {
  onChoose(deviceId: string, metric: string | undefined): void
  onFiring(deviceIds: ReadonlySet<string>): void
}

export class AlertsPanel {
  readonly #api: Api
  readonly #listener: AlertsListener
  readonly #list = byId('alerts-list')
  readonly #empty = byId('alerts-empty')
  readonly #announcement = byId('alerts-announcement')
  readonly #renderSoon = oncePerFrame(() => this.#render())
  readonly #alerts = new Map<string, AlertBody>()

  constructor(api: Api, listener: AlertsListener) {
    this.#api = api
    this.#listener = listener
  }

  /** At the start and after the live connection was away. */
  async refill(): Promise<void> {
    try {
      for (const alert of await this.#api.alerts(ALERTS_MAX)) this.#note(alert)
      this.#render()
    } catch (error) {
      // The next opening of the live connection asks again.
      if (!(error instanceof RequestError)) throw error
    }
  }

  onAlert(alert: AlertBody): void {
    const isNews = this.#alerts.get(alert.id)?.state !== alert.state
    if (this.#note(alert) && isNews) {
      const { severity, rule_id: rule, state, device_id: device } = alert
      setText(this.#announcement, `${severity}: ${rule} ${state} on ${device}`)
    }
    this.#renderSoon()
  }

  /** False for what is older than what is known: a late answer takes nothing back. */
  #note(alert: AlertBody): boolean {
    const known = this.#alerts.get(alert.id)
    if (known !== undefined && isOlder(alert, known)) return false
    this.#alerts.set(alert.id, alert)
    return true
  }

  #render(): void {
    const alerts = newest(this.#alerts, ALERTS_MAX, ({ state, triggered_at: firedMs }) =>
      state === 'firing' ? firedMs + 1e15 : firedMs,
    )
    const firing = alerts.filter(({ state }) => state === 'firing')
    this.#listener.onFiring(new Set(firing.map((alert) => alert.device_id)))
    this.#list.replaceChildren(...alerts.slice(0, ROWS_MAX).map((alert) => this.#row(alert)))
    this.#empty.hidden = this.#alerts.size > 0
    setText(
      this.#empty,
      'No rule has fired. A rule is made by: weir rules put, or POST /v1/alerts, ' +
        'or stands in the pipeline definition, as in: when: "temperature > 80".',
    )
  }

  #row(alert: AlertBody): HTMLLIElement {
    const { device_id: device, severity, state, rule_id: rule } = alert
    const badge = element('span', { class: 'badge' }, severity)
    const choose = (): void => this.#listener.onChoose(device, metricOf(alert))
    const name = button(device, choose, 'name')
    const what = element('span', { class: 'what', title: alert.reason.condition }, rule)
    const value = valueOf(alert)
    if (value !== '') what.append(element('small', {}, ` ${value}`))
    const attributes = { class: state, 'data-severity': severity }
    return element('li', attributes, badge, name, what, this.#about(alert))
  }

  /** Since when, how often, and who deals with it. */
  #about(alert: AlertBody): HTMLElement {
    const about = element('span', { class: 'when' }, ...this.#times(alert))
    if (alert.occurrences > 1) about.append(`, ${alert.occurrences} times`)
    if (alert.flapping) about.append(', flapping')
    if (alert.suppressed_by !== null) about.append(', nobody is told')
    if (alert.acknowledged !== null) {
      const at = { title: formatFull(alert.acknowledged.at) }
      about.append(element('span', at, `, acknowledged by ${alert.acknowledged.by}`))
    } else if (alert.state === 'firing') {
      about.append(
        ' ',
        button('Acknowledge', () => void this.#acknowledge(alert), 'small'),
      )
    }
    return about
  }

  #times(alert: AlertBody): (Node | string)[] {
    if (alert.resolved_at === null) {
      return ['firing ', ageElement(alert.since, this.#api.nowMs(), 'for')]
    }
    const title = `from ${formatFull(alert.since)} to ${formatFull(alert.resolved_at)}`
    const lasted = formatDuration(alert.resolved_at - alert.since)
    const resolved = ageElement(alert.resolved_at, this.#api.nowMs())
    return ['resolved ', resolved, element('span', { title }, `, lasted ${lasted}`)]
  }

  async #acknowledge({ id }: AlertBody): Promise<void> {
    try {
      this.#note(await this.#api.acknowledge(id))
      this.#render()
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      setText(this.#announcement, `Not acknowledged: ${error.message}`)
    }
  }
}

/** An alert only ever gets further episodes, and an episode only ever ends. */
function isOlder(alert: AlertBody, known: AlertBody): boolean {
  if (alert.occurrences !== known.occurrences) return alert.occurrences < known.occurrences
  return alert.state === 'firing' && known.state === 'resolved'
}

const metricOf = ({ reason, values }: AlertBody): string | undefined =>
  reason.metric ?? Object.keys(values)[0]

function valueOf({ reason }: AlertBody): string {
  const { value, threshold, unit } = reason
  if (value === undefined) return ''
  const limit = threshold === undefined ? '' : `, threshold ${formatValue(threshold, unit)}`
  return `${formatValue(value, unit)}${limit}`
}
