/** Rule events (episodes that fire and resolve) and anomalies, newest first, bounded. */
import type { AlertBody } from '../api/api.ts'
import { RequestError, type Api } from './api.ts'
import { byId, button, element, oncePerFrame, setText } from './dom.ts'
import { ageElement, formatDuration, formatFull, formatNumber } from './format.ts'
import type { AnomalyRow } from '../query/query.ts'

/** Kept in memory and asked for; the older ones are a query away. */
const EVENTS_MAX = 200
const ROWS_MAX = 50

/** Answers leave out the values that decided; live events bring them. */
type Alert = AlertBody & { values?: Record<string, number> }

export interface EventsListener {
  onChoose(deviceId: string, metric: string | undefined): void
  onFiring(deviceIds: ReadonlySet<string>): void
}

export class EventsPanel {
  readonly #api: Api
  readonly #listener: EventsListener
  readonly #alertsList = byId('alerts-list')
  readonly #alertsEmpty = byId('alerts-empty')
  readonly #anomaliesList = byId('anomalies-list')
  readonly #anomaliesEmpty = byId('anomalies-empty')
  readonly #announcement = byId('alerts-announcement')
  readonly #renderSoon = oncePerFrame(() => this.#render())
  readonly #alerts = new Map<string, Alert>()
  readonly #anomalies = new Map<string, AnomalyRow>()

  constructor(api: Api, listener: EventsListener) {
    this.#api = api
    this.#listener = listener
  }

  /** At the start and after the live connection was away. */
  async refill(): Promise<void> {
    try {
      const [alerts, anomalies] = await Promise.all([
        this.#api.alerts(EVENTS_MAX),
        this.#api.anomalies(EVENTS_MAX),
      ])
      for (const alert of alerts) this.#noteAlert(alert)
      for (const anomaly of anomalies) this.#anomalies.set(anomaly.id, anomaly)
      this.#render()
    } catch (error) {
      // The next opening of the live connection asks again.
      if (!(error instanceof RequestError)) throw error
    }
  }

  onAlert(alert: Alert): void {
    const isNews = this.#alerts.get(alert.id)?.state !== alert.state
    this.#noteAlert(alert)
    if (isNews) {
      const { severity, rule_id: rule, state, device_id: device } = alert
      setText(this.#announcement, `${severity}: ${rule} ${state} on ${device}`)
    }
    this.#renderSoon()
  }

  onAnomaly(anomaly: AnomalyRow): void {
    this.#anomalies.set(anomaly.id, anomaly)
    this.#renderSoon()
  }

  /** An episode that is resolved never fires again: a late answer cannot reopen it. */
  #noteAlert(alert: Alert): void {
    const known = this.#alerts.get(alert.id)
    if (known?.state === 'resolved') return
    const values = alert.values ?? known?.values
    this.#alerts.set(alert.id, values === undefined ? alert : { ...alert, values })
  }

  #render(): void {
    // What fires stands above what is over, then the newest first.
    const alerts = newest(this.#alerts, (alert) =>
      alert.state === 'firing' ? alert.triggered_at + 1e15 : alert.triggered_at,
    )
    const anomalies = newest(this.#anomalies, (anomaly) => anomaly.ts)
    const firing = alerts.filter((alert) => alert.state === 'firing')
    this.#listener.onFiring(new Set(firing.map((alert) => alert.device_id)))
    this.#alertsList.replaceChildren(
      ...alerts.slice(0, ROWS_MAX).map((alert) => this.#alertRow(alert)),
    )
    this.#anomaliesList.replaceChildren(
      ...anomalies.slice(0, ROWS_MAX).map((anomaly) => this.#anomalyRow(anomaly)),
    )
    this.#renderEmpty()
  }

  #renderEmpty(): void {
    this.#alertsEmpty.hidden = this.#alerts.size > 0
    this.#anomaliesEmpty.hidden = this.#anomalies.size > 0
    setText(
      this.#alertsEmpty,
      'No rule has fired. Rules stand in the pipeline definition, as in: when: "temperature > 80".',
    )
    setText(
      this.#anomaliesEmpty,
      'Nothing unusual. Detectors stand in the pipeline definition, as in: zscore: {n: 32, threshold: 4}.',
    )
  }

  #alertRow(alert: Alert): HTMLLIElement {
    const badge = element('span', { class: 'badge' }, alert.severity)
    const device = button(
      alert.device_id,
      () => this.#listener.onChoose(alert.device_id, metricOf(alert)),
      'name',
    )
    const rule = element('span', { class: 'what' }, alert.rule_id)
    const attributes = { class: alert.state, 'data-severity': alert.severity }
    return element('li', attributes, badge, device, rule, this.#alertTime(alert))
  }

  #alertTime(alert: AlertBody): HTMLElement {
    if (alert.resolved_at === null) {
      const since = ageElement(alert.triggered_at, this.#api.nowMs(), 'for')
      return element('span', { class: 'when' }, 'firing ', since)
    }
    const lasted = formatDuration(alert.resolved_at - alert.triggered_at)
    const title = `from ${formatFull(alert.triggered_at)} to ${formatFull(alert.resolved_at)}`
    const resolved = ageElement(alert.resolved_at, this.#api.nowMs())
    const length = element('span', { title }, `, lasted ${lasted}`)
    return element('span', { class: 'when' }, 'resolved ', resolved, length)
  }

  #anomalyRow(anomaly: AnomalyRow): HTMLLIElement {
    const { device_id: id, metric } = anomaly
    const score = element('span', { class: 'badge' }, `z ${anomaly.score.toFixed(1)}`)
    const device = button(id, () => this.#listener.onChoose(id, metric), 'name')
    const what = element('span', { class: 'what' }, `${metric} ${formatNumber(anomaly.value)}`)
    const age = element('span', { class: 'when' }, ageElement(anomaly.ts, this.#api.nowMs()))
    return element('li', { title: anomaly.detector_id }, score, device, what, age)
  }
}

/** The first metric that decided, when the alert came live. */
const metricOf = (alert: Alert): string | undefined => Object.keys(alert.values ?? {})[0]

/** Sorts by time, newest first, and forgets what is beyond EVENTS_MAX. */
function newest<T>(events: Map<string, T>, timeMs: (event: T) => number): T[] {
  const sorted = [...events].sort(([, a], [, b]) => timeMs(b) - timeMs(a))
  for (const [id] of sorted.splice(EVENTS_MAX)) events.delete(id)
  return sorted.map(([, event]) => event)
}
