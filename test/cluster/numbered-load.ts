/**
 * Numbered devices as a load that goes on while a test does something to the cluster: begin, hurt
 * it, heal it, finish. What was acknowledged is then in PostgreSQL once, nothing is there that was
 * never sent, and the windows say what the readings say.
 */
import assert from 'node:assert/strict'
import { until, type WeirProcess } from '../system/weir-process.ts'
import type { Installation, Owner } from './cluster-process.ts'
import { METRIC, NumberedDevice, type NumberedDeviceOptions } from './numbered-device.ts'

const WINDOW_MS = 60_000
/** Event time begins so far back; it ends with a reading of now, behind which all windows close. */
const BEGIN_MS = 3_600_000
const QUIET_DEADLINE_MS = 90_000
const REGISTRATIONS_AT_ONCE = 32

export const PIPELINE = `
version: 1
time: { disorder: 10s, allowedLateness: 2h, idleTimeout: 10m }
windows: [1m]
`

export interface LoadOptions {
  devices: number
  /** Between two messages of a device. */
  everyMs: number
  /** Event time between two readings of a device. */
  stepMs?: number
  ports: () => readonly number[]
  /** Devices of a type; without one they are generic. */
  type?: string
  /** Event times are those of the clock; the last one is so far ahead. */
  live?: Required<Pick<NumberedDeviceOptions, 'live' | 'metricsOf'>> & { lastAheadMs: number }
}

/** What a run saw. */
export interface LoadTotals {
  devices: number
  acknowledged: number
  connections: number
  windows: number
  /** Without any PUBACK, of the device that waited longest. */
  longestPauseMs: number
  /** From the last PUBACK until everything was in PostgreSQL. */
  storedAfterMs: number
}

interface Stored {
  device: string
  time: number
  value: number
}

interface Window {
  device: string
  start: number
  count: number
  sum: number
  min: number
  max: number
}

export class NumberedLoad {
  readonly devices: NumberedDevice[]
  readonly #at: Installation
  readonly #nowMs: number
  readonly #live: LoadOptions['live']

  private constructor(
    at: Installation,
    devices: NumberedDevice[],
    { nowMs, live }: { nowMs: number; live: LoadOptions['live'] },
  ) {
    this.#at = at
    this.devices = devices
    this.#nowMs = nowMs
    this.#live = live
  }

  /** Registers the devices with `control`, and lets them send until finish(). */
  static async begin(
    t: Owner,
    at: Installation,
    control: WeirProcess,
    { devices: count, everyMs, stepMs = 1000, ports, type, live }: LoadOptions,
  ): Promise<NumberedLoad> {
    const nowMs = Date.now()
    const beginMs = Math.floor((nowMs - BEGIN_MS) / WINDOW_MS) * WINDOW_MS
    const tokens: string[] = []
    for (let from = 0; from < count; from += REGISTRATIONS_AT_ONCE) {
      const some = Array.from(
        { length: Math.min(REGISTRATIONS_AT_ONCE, count - from) },
        (_, index) => control.register({ id: `device-${from + index}`, ...(type && { type }) }),
      )
      tokens.push(...(await Promise.all(some)))
    }
    const devices = tokens.map((token, index) => {
      const version = index % 2 === 0 ? 4 : 5
      const of = { id: `device-${index}`, token, version, ports, beginMs, stepMs, everyMs } as const
      // Over the gateways evenly.
      return new NumberedDevice({ ...of, ...live }, index)
    })
    t.after(async () => devices.forEach((device) => device.close()))
    const load = new NumberedLoad(at, devices, { nowMs, live })
    await load.progress('all devices are served', () =>
      devices.every(({ acknowledged }) => acknowledged > 0),
    )
    for (const device of devices) device.longestPauseMs = 0
    return load
  }

  get acknowledged(): number {
    return this.devices.reduce((sum, { acknowledged }) => sum + acknowledged, 0)
  }

  /** until(), which says what the processes printed when it does not come. */
  async progress(what: string, condition: () => boolean, deadlineMs = 60_000): Promise<void> {
    await until(what, condition, deadlineMs).catch((cause: unknown) => {
      const idle = this.devices.filter(({ isIdle }) => isIdle).length
      const connected = this.devices.filter(({ isConnected }) => isConnected).length
      const text = `${idle} idle, ${connected} connected of ${this.devices.length} devices`
      throw new Error(`${what}: ${text}\n${this.#at.output}`, { cause })
    })
  }

  /** At least this many more acknowledgements. */
  async goOn(more = this.devices.length, deadlineMs?: number): Promise<void> {
    const enough = this.acknowledged + more
    await this.progress(
      `${more} more are acknowledged`,
      () => this.acknowledged >= enough,
      deadlineMs,
    )
  }

  /** Sends no more, waits until all is acknowledged and stored, and compares everything. */
  async finish(): Promise<LoadTotals> {
    const totals = await this.settle()
    return { ...totals, windows: await this.#checkWindows() }
  }

  /** As finish() does, without the windows. */
  async settle(): Promise<Omit<LoadTotals, 'windows'>> {
    for (const device of this.devices) device.stop()
    await this.#drained()
    const lastMs = this.#live === undefined ? this.#nowMs : Date.now() + this.#live.lastAheadMs
    for (const device of this.devices) device.publishLast(lastMs)
    await this.#drained()
    for (const { id, refusal } of this.devices) assert.equal(refusal, undefined, id)
    const startMs = performance.now()
    const { acknowledged } = this
    await this.#settles('readings', () => this.#readings(), acknowledged)
    return {
      ...{ devices: this.devices.length, acknowledged },
      storedAfterMs: Math.round(performance.now() - startMs),
      connections: this.devices.reduce((sum, { connections }) => sum + connections, 0),
      longestPauseMs: Math.round(Math.max(...this.devices.map((one) => one.longestPauseMs))),
    }
  }

  #drained(): Promise<void> {
    return this.progress('all is acknowledged', () => this.devices.every(({ isIdle }) => isIdle))
  }

  /** What is wrong goes away within the deadline, or is the answer. */
  async #settles(what: string, wrong: () => Promise<string[]>, count: number): Promise<void> {
    let last: string[] = []
    const isRight = async (): Promise<boolean> => {
      last = await wrong()
      return last.length === 0
    }
    await until(what, isRight, QUIET_DEADLINE_MS).catch(() => {
      const some = last.slice(0, 10).join('\n')
      assert.fail(`${last.length} ${what} of ${count} are wrong\n${some}\n${this.#at.output}`)
    })
  }

  /** Differences between what was acknowledged and what is stored. */
  async #readings(): Promise<string[]> {
    const rows = await this.#at.ask<Stored>(
      `SELECT device_id AS device, time_us::float8 / 1000 AS time, value
       FROM reading JOIN series ON id = series WHERE metric = $1`,
      [METRIC],
    )
    const wrong: string[] = []
    const stored = new Map(this.devices.map(({ id }) => [id, new Set<number>()]))
    const devices = new Map(this.devices.map((one) => [one.id, one]))
    for (const { device, time, value } of rows) {
      const values = stored.get(device)
      if (devices.get(device)?.timesMs[value] !== time)
        wrong.push(`${device} never sent ${value} at ${time}`)
      else if (values!.has(value)) wrong.push(`${device} has ${value} twice`)
      values?.add(value)
    }
    for (const { id, timesMs, ...device } of this.devices.map(withAcknowledged)) {
      for (const value of timesMs.keys()) {
        if (device.acknowledged(value) && !stored.get(id)!.has(value))
          wrong.push(`${id} lacks ${value}, which was acknowledged`)
      }
    }
    return wrong
  }

  /** Everything is acknowledged, so the windows are known. The last reading's one stays open. */
  async #checkWindows(): Promise<number> {
    const expected = this.devices.flatMap(({ id, timesMs }) => windowsOf(id, timesMs.slice(0, -1)))
    await this.#settles('windows', () => this.#windows(expected), expected.length)
    return expected.length
  }

  async #windows(expected: readonly Window[]): Promise<string[]> {
    const rows = await this.#at.ask<Window>(
      `SELECT device_id AS device, start_ms::float8 AS start, sum(count)::float8 AS count,
         sum(sum) AS sum, min(min) AS min, max(max) AS max
       FROM window_partial JOIN series ON id = series
       WHERE window_ms = $1 AND start_ms + $1 <= $2 GROUP BY device_id, start_ms`,
      [WINDOW_MS, this.#nowMs - WINDOW_MS],
    )
    const found = new Set(rows.map((row) => textOf(row)))
    const wanted = new Set(expected.map((row) => textOf(row)))
    const lacking = [...wanted].filter((text) => !found.has(text)).map((text) => `lacks ${text}`)
    const wrong = [...found].filter((text) => !wanted.has(text)).map((text) => `has ${text}`)
    const dirty = await this.#at.ask('SELECT * FROM dirty_range')
    return [...lacking, ...wrong, ...dirty.map((range) => `dirty ${JSON.stringify(range)}`)]
  }
}

const withAcknowledged = (device: NumberedDevice) => ({
  ...{ id: device.id, timesMs: device.timesMs },
  acknowledged: (value: number) => device.wasAcknowledged(value),
})

function windowsOf(device: string, timesMs: readonly number[]): Window[] {
  const windows = new Map<number, Window>()
  for (const [value, timeMs] of timesMs.entries()) {
    const start = Math.floor(timeMs / WINDOW_MS) * WINDOW_MS
    const window = windows.get(start)
    if (window === undefined) {
      windows.set(start, { device, start, count: 1, sum: value, min: value, max: value })
      continue
    }
    window.count++
    window.sum += value
    window.max = value
  }
  return [...windows.values()]
}

const textOf = ({ device, start, count, sum, min, max }: Window): string =>
  `${device} ${start}: ${count} readings, sum ${sum}, ${min} to ${max}`
