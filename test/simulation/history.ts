/**
 * Everything that ever became durable in the log, trimmed or not, and what the naive oracle makes
 * of it. A life that opens the log must find every entry of which its predecessors were told.
 */
import { decodeFrame, MESSAGE_HISTORICAL, type DeadLetter } from '../../src/batch/batch.ts'
import type { Log } from '../../src/log/log.ts'
import { Oracle } from '../../src/stream/oracle.ts'
import type { RuleEvent } from '../../src/stream/stream.ts'
import { METRICS, seriesOf, type ScriptFrame, type ScriptMessage } from '../../src/stream/script.ts'
import { DEVICE_IDS, PLAN } from './plan.ts'

/** A check that failed; the name of the promise is its first word. */
export class Broken extends Error {}

export function check(isTrue: boolean, what: () => string): asserts isTrue {
  if (!isTrue) throw new Broken(what())
}

export interface LoggedMessage extends ScriptMessage {
  flags: number
  serial: number
}

const TEXT_CODES: Record<string, number> = { ok: 0, fault: 1 }

export class History {
  readonly entries: Uint8Array[] = []
  readonly messages: LoggedMessage[] = []
  readonly deadLetters: DeadLetter[] = []
  /** What the alerts have of each episode, by its id. */
  readonly alerts = new Map<string, RuleEvent>()
  readonly oracle = new Oracle(PLAN)
  readonly #series = new Map<number, { device: number; metric: number }>()
  readonly #devices = new Map<number, number>()
  readonly #texts = new Map<number, string>()
  readonly #identities = new Map<string, number>()

  appended(offset: number, bytes: Uint8Array): void {
    check(offset === this.entries.length, () => `G2 entry ${offset} after ${this.entries.length}`)
    this.entries.push(bytes)
  }

  /** As the alerts take them: an event may come again, and an end stays. */
  alerted(events: readonly RuleEvent[]): void {
    for (const event of events) {
      if (this.alerts.get(event.id)?.state !== 'resolved') this.alerts.set(event.id, event)
    }
  }

  /** What a life finds must be what is known, and perhaps more that nobody was told of. */
  async opened(log: Log): Promise<void> {
    check(
      log.nextOffset >= this.entries.length,
      () =>
        `G1 acknowledged entries are gone: ${log.nextOffset} of ${this.entries.length} are left`,
    )
    let offset = log.firstOffset
    while (offset < log.nextOffset) {
      for (const entry of await log.read(offset, 1 << 20)) {
        const known = this.entries[entry.offset]
        if (known === undefined) this.appended(entry.offset, entry.bytes.slice())
        else {
          const isSame = Buffer.compare(known, entry.bytes) === 0
          check(isSame, () => `G3 entry ${entry.offset} is not what was appended`)
        }
        offset = entry.offset + 1
      }
    }
  }

  /** Tells the oracle all of it. Call once, at the end. */
  interpret(): void {
    for (const bytes of this.entries) this.oracle.process(this.#frame(bytes))
  }

  #frame(bytes: Uint8Array): ScriptFrame {
    const batch = decodeFrame(Uint8Array.from(bytes))
    for (const one of batch.definitions?.series ?? []) {
      const device = DEVICE_IDS.indexOf(one.deviceId as (typeof DEVICE_IDS)[number])
      // The device that closes the windows at the end is none of the oracle's.
      this.#devices.set(one.device, device)
      const metric = METRICS.findIndex(({ name }) => name === one.metric)
      this.#series.set(one.series, { device, metric })
    }
    for (const [id, word] of batch.definitions?.texts ?? []) this.#texts.set(id, word)
    this.deadLetters.push(...(batch.deadLetters ?? []))
    const messages: ScriptMessage[] = []
    let reading = 0
    for (let m = 0; m < batch.messageCount; m++) {
      const readings: [number, number][] = []
      for (let i = 0; i < batch.readingsInMessage[m]!; i++, reading++) {
        const { metric } = this.#series.get(batch.series[reading]!)!
        const value = batch.value[reading]!
        const isText = METRICS[metric]?.name === 'label'
        readings.push([metric, isText ? TEXT_CODES[this.#texts.get(value)!]! : value])
      }
      const device = this.#devices.get(batch.device[m]!)!
      const flags = batch.flags[m]!
      const message: LoggedMessage = {
        ...{ device, flags, readings },
        eventUs: batch.eventTimeUs[m]!,
        ingestDeltaUs: batch.ingestDeltaUs[m]!,
        identity: this.#identity(batch.identityHigh?.[m] ?? 0, batch.identityLow?.[m] ?? 0),
        isHistorical: (flags & MESSAGE_HISTORICAL) !== 0,
        serial: readings.find(([metric]) => METRICS[metric]?.name === 'b')?.[1] ?? -1,
      }
      this.messages.push(message)
      messages.push(message)
    }
    return { baseUs: batch.baseIngestTimeUs, messages }
  }

  #identity(high: number, low: number): number {
    if (high === 0 && low === 0) return 0
    const key = `${high}:${low}`
    const known = this.#identities.get(key) ?? this.#identities.size + 1
    this.#identities.set(key, known)
    return known
  }
}

/** The name of a series of the oracle: device and metric. */
export function nameOf(series: number): { deviceId: string; metric: string } {
  const device = Math.floor(series / METRICS.length)
  return { deviceId: DEVICE_IDS[device]!, metric: METRICS[series - seriesOf(device, 0)]!.name }
}
