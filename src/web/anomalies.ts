/** Anomalies, newest first, bounded. */
import { RequestError, type Api } from './api.ts'
import { byId, button, element, oncePerFrame, setText } from './dom.ts'
import { ageElement, formatNumber } from './format.ts'
import { newest } from './newest.ts'
import type { AnomalyRow } from '../query/query.ts'

/** Kept in memory and asked for; the older ones are a query away. */
const ANOMALIES_MAX = 200
const ROWS_MAX = 50

export class AnomaliesPanel {
  readonly #api: Api
  readonly #onChoose: (deviceId: string, metric: string) => void
  readonly #list = byId('anomalies-list')
  readonly #empty = byId('anomalies-empty')
  readonly #renderSoon = oncePerFrame(() => this.#render())
  readonly #anomalies = new Map<string, AnomalyRow>()

  constructor(api: Api, onChoose: (deviceId: string, metric: string) => void) {
    this.#api = api
    this.#onChoose = onChoose
  }

  /** At the start and after the live connection was away. */
  async refill(): Promise<void> {
    try {
      for (const anomaly of await this.#api.anomalies(ANOMALIES_MAX)) {
        this.#anomalies.set(anomaly.id, anomaly)
      }
      this.#render()
    } catch (error) {
      // The next opening of the live connection asks again.
      if (!(error instanceof RequestError)) throw error
    }
  }

  onAnomaly(anomaly: AnomalyRow): void {
    this.#anomalies.set(anomaly.id, anomaly)
    this.#renderSoon()
  }

  #render(): void {
    const anomalies = newest(this.#anomalies, ANOMALIES_MAX, ({ ts }) => ts)
    this.#list.replaceChildren(...anomalies.slice(0, ROWS_MAX).map((one) => this.#row(one)))
    this.#empty.hidden = this.#anomalies.size > 0
    setText(
      this.#empty,
      'Nothing unusual. Detectors stand in the pipeline definition, as in: zscore: {n: 32, threshold: 4}.',
    )
  }

  #row(anomaly: AnomalyRow): HTMLLIElement {
    const { device_id: id, metric } = anomaly
    const score = element('span', { class: 'badge' }, `z ${anomaly.score.toFixed(1)}`)
    const device = button(id, () => this.#onChoose(id, metric), 'name')
    const what = element('span', { class: 'what' }, `${metric} ${formatNumber(anomaly.value)}`)
    const age = element('span', { class: 'when' }, ageElement(anomaly.ts, this.#api.nowMs()))
    return element('li', { title: anomaly.detector_id }, score, device, what, age)
  }
}
