/**
 * A day of the simulated fleet, sent within a minute: what the device models of src/fleet say at
 * times of the past, in the order of these times, as JSON batches over HTTP.
 */
import { planDevice } from '../src/fleet/fleet.ts'
import { keyOf, uniform } from '../src/fleet/signals.ts'
import type { WeirServer } from './weir-server.ts'

export interface HistoryOptions {
  devices: number
  hours: number
  intervalMs: number
  /** A message comes up to that much before or after its turn, at whole milliseconds. */
  jitterMs: number
  seed: number
}

/**
 * Batches under way at once; each has devices of its own, so that their order stays. All are waited
 * for before the next turn: with one lane ahead of the other its readings would make theirs late.
 */
const LANES = 2

/** Returns how many readings were sent and acknowledged. */
export async function sendHistory(server: WeirServer, options: HistoryOptions): Promise<number> {
  const { devices, hours, intervalMs } = options
  const plans = Array.from({ length: devices }, (_, index) => planDevice(index))
  await server.register(plans.map(({ id, model }) => ({ id, type: model.type })))
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    plans.filter((_, index) => index % LANES === lane),
  )
  const turns = Math.round((hours * 3_600_000) / intervalMs)
  const startMs = Math.floor(Date.now() / intervalMs) * intervalMs - (turns + 1) * intervalMs
  let readings = 0
  for (let turn = 0; turn < turns; turn++) {
    const sent = lanes.map((plans) => {
      const batch = new Batch(options, startMs)
      for (const plan of plans) batch.add(plan, turn)
      readings += batch.readings
      return batch.send(server)
    })
    await Promise.all(sent)
  }
  return readings
}

class Batch {
  readonly #options: HistoryOptions
  readonly #startMs: number
  readonly #messages: string[] = []
  readings = 0

  constructor(options: HistoryOptions, startMs: number) {
    this.#options = options
    this.#startMs = startMs
  }

  add({ id, model }: ReturnType<typeof planDevice>, turn: number): void {
    const { seed, intervalMs, jitterMs } = this.#options
    const early = uniform(keyOf(seed, id, 'jitter'), turn) * 2 - 1
    const phaseMs = uniform(keyOf(seed, id, 'phase'), 0) * intervalMs
    const ts = Math.round(this.#startMs + turn * intervalMs + phaseMs + early * jitterMs)
    const at = { seed, deviceId: id, timeUs: ts * 1000, startUs: this.#startMs * 1000 }
    const metrics = model.measure(at)
    this.readings += Object.keys(metrics).length
    this.#messages.push(JSON.stringify({ device: id, ts, metrics }))
  }

  async send(server: WeirServer): Promise<void> {
    const { status, body } = await server.send(
      ...(['POST', '/v1/telemetry', `[${this.#messages.join()}]`] as const),
    )
    if (status !== 200 || body !== `{"accepted":${this.#messages.length}}`)
      throw new Error(`a batch was answered ${status}: ${body.slice(0, 500)}`)
  }
}
