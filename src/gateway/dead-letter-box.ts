/**
 * Where refused messages go: into the same batch, so that one flush makes them durable with
 * everything else. A device may fill it only so far in an hour; beyond that they are counted.
 */
import type { DeadLetter } from '../batch/batch.ts'
import type { ErrorCode } from '../errors/errors.ts'
import type { BatchBuilder } from './batch-builder.ts'
import type { DeviceState } from './device-state.ts'
import { JSON_BYTES_MAX } from './frame-room.ts'

const PAYLOAD_BYTES_MAX = 65_536
/** Keys, code and numbers of a dead letter's JSON. */
const ENVELOPE_BYTES = 256
const HOUR_US = 3_600_000_000

export class DeadLetterBox {
  /** Kept so far. */
  kept = 0
  /** Refused and only counted, since the device had used up its share. */
  countedOnly = 0
  readonly #builder: BatchBuilder
  readonly #perDeviceMax: number
  readonly #payloadBytesMax: number
  /** The share of messages that name no registered device, together. */
  readonly #nobody = { deadLettersInHour: 0, deadLetterHour: 0 }

  constructor(builder: BatchBuilder, limits: { perDeviceMax: number; payloadBytesMax: number }) {
    this.#builder = builder
    this.#perDeviceMax = limits.perDeviceMax
    this.#payloadBytesMax = Math.min(limits.payloadBytesMax, PAYLOAD_BYTES_MAX)
  }

  put(
    device: DeviceState | undefined,
    letter: { tenant: string; deviceId: string; nowUs: number; code: ErrorCode; detail: string },
    payload: Uint8Array,
  ): void {
    const share = device ?? this.#nobody
    const hour = Math.floor(letter.nowUs / HOUR_US)
    if (share.deadLetterHour !== hour) {
      share.deadLetterHour = hour
      share.deadLettersInHour = 0
    }
    if (++share.deadLettersInHour > this.#perDeviceMax) {
      this.countedOnly++
      return
    }
    this.kept++
    const { tenant, deviceId, nowUs: receivedAtUs, code, detail } = letter
    const cut = payload.subarray(0, this.#payloadBytesMax)
    const text = Buffer.from(cut.buffer, cut.byteOffset, cut.length).toString()
    const entry: DeadLetter = { tenant, deviceId, receivedAtUs, code, detail, payload: text }
    this.#builder.deadLetters.push(entry)
    const characters = text.length + detail.length + deviceId.length + tenant.length
    this.#builder.deadLetterBytes += characters * JSON_BYTES_MAX + ENVELOPE_BYTES
  }
}
