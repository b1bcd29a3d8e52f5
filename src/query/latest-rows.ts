/** The answer to a LatestQuestion while it is made, of any store. */
import type { LatestColumns, Value } from './query.ts'

export class LatestRows {
  readonly columns: LatestColumns = { deviceIds: [], timesMs: [], values: [] }
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  get isFull(): boolean {
    return this.columns.deviceIds.length >= this.#limit
  }

  /**
   * Takes the newest reading of a series, device by device. Of two of one time the first stays.
   * False when there is no room for its device, nor for those behind it.
   */
  take(deviceId: string, timeMs: number, value: Value): boolean {
    const { deviceIds, timesMs, values } = this.columns
    let row = deviceIds.length - 1
    if (deviceIds[row] === deviceId) {
      if (timesMs[row]! >= timeMs) return true
    } else {
      if (this.isFull) return false
      deviceIds.push(deviceId)
      row++
    }
    timesMs[row] = timeMs
    values[row] = value
    return true
  }
}
