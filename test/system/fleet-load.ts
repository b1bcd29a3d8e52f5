/**
 * The crash test's fleet as a load that goes on while a test does something to the server: begin,
 * hurt it, finish, verify. Nothing that was acknowledged may be lost, doubled or miscounted.
 */
import type { TestContext } from 'node:test'
import { closeWindows, count, isProbe, openFleet, verifyFleet } from './crash-fleet.ts'
import type { Device, Surroundings } from './crash-load.ts'
import { seededRandom } from './crash-reference.ts'
import type { WeirProcess } from './weir-process.ts'

/** Event time runs so much faster than the clock, and begins so far back: four minutes of load. */
const EVENT_SPEED = 12
const EVENT_BEGIN_MS = 45 * 60_000
const LATE_MS_MAX = 30 * 60_000

export class FleetLoad {
  /** Where the devices send to; a restarted server has other ports. */
  server: { http: number; mqtt: number }
  #devices: Device[] = []
  readonly #beginMs = Date.now()
  #running: Promise<unknown> = Promise.resolve()

  private constructor(server: WeirProcess) {
    this.server = server
  }

  /** Registers the fleet and lets it send, until finish(). */
  static async begin(t: TestContext, weir: WeirProcess, seed = 1): Promise<FleetLoad> {
    const load = new FleetLoad(weir)
    const around: Surroundings = {
      random: seededRandom(seed),
      ports: () => load.server,
      eventNowUs: () => load.#eventNowMs() * 1000,
    }
    load.#devices = await openFleet(weir, around, 'load')
    await weir.register({ id: 'closer' })
    t.after(() => load.#devices.forEach((device) => device.abandon()))
    // Devices without a clock would make all others late.
    const running = load.#devices.filter((one) => !isProbe(one)).map((one) => one.run())
    load.#running = Promise.all(running)
    return load
  }

  #eventNowMs(): number {
    return this.#beginMs - EVENT_BEGIN_MS + (Date.now() - this.#beginMs) * EVENT_SPEED
  }

  /** Messages that were acknowledged so far. */
  get acknowledged(): number {
    return count(
      this.#devices,
      ({ sent }) => sent.filter(({ ackMs }) => ackMs !== undefined).length,
    )
  }

  /** Sends no more, waits until everything is acknowledged, and compares everything. */
  async finish(weir: WeirProcess): Promise<void> {
    for (const device of this.#devices) device.isStopping = true
    await this.#running
    await closeWindows(weir, Date.now())
    await this.verify(weir)
  }

  async verify(weir: WeirProcess): Promise<void> {
    const fromMs = this.#beginMs - EVENT_BEGIN_MS - LATE_MS_MAX
    await verifyFleet(weir, this.#devices, { fromMs, toMs: Date.now() })
  }
}
