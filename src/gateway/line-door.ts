/**
 * InfluxDB line protocol into the batch: a field is a metric, the measurement a dimension of the
 * series, the device one of the tags. A refused line is a dead letter; the others count.
 */
import { WeirError } from '../errors/errors.ts'
import { parseLines, type Line } from '../line-protocol/line-protocol.ts'
import type { DeviceState } from './device-state.ts'
import type { IngestRequest } from './gateway.ts'
import type { Message, MessageWriter, Scalar } from './message.ts'
import type { Sender, TelemetryDecoder } from './telemetry-decoder.ts'

export class LineDoor {
  readonly #decoder: TelemetryDecoder
  readonly #writer: MessageWriter
  /** In order of preference. */
  readonly #deviceTags: readonly string[]
  readonly #makeRoom: () => void

  constructor(parts: {
    decoder: TelemetryDecoder
    writer: MessageWriter
    deviceTags: readonly string[]
    /** Called between lines, where a body may be cut into batches. */
    makeRoom: () => void
  }) {
    this.#decoder = parts.decoder
    this.#writer = parts.writer
    this.#deviceTags = parts.deviceTags
    this.#makeRoom = parts.makeRoom
  }

  /** The result stands in the decoder's `outcome`. */
  decode(bytes: Uint8Array, precision: IngestRequest['precision'], sender: Sender): void {
    const decoder = this.#decoder
    decoder.begin()
    parseLines(
      bytes,
      precision,
      (line) => {
        this.#line(line, bytes, sender)
        this.#makeRoom()
      },
      (index, code, detail, lineBytes) => {
        decoder.reject(new WeirError(code, detail), { bytes: lineBytes, sender, index })
        this.#makeRoom()
      },
    )
  }

  /** Device names in the body, each once; for keys that may register what is missing. */
  deviceIds(bytes: Uint8Array): Set<string> {
    const ids = new Set<string>()
    parseLines(
      bytes,
      'ns',
      (line) => {
        const id = this.#deviceTag(line)
        if (id !== undefined) ids.add(line.tagValues[id]!)
      },
      () => {},
    )
    return ids
  }

  #line(line: Line, bytes: Uint8Array, sender: Sender): void {
    let device: DeviceState | undefined
    try {
      const tag = this.#deviceTag(line)
      device = this.#deviceOf(line, tag, sender)
      this.#writer.write(toMessage(line, tag), device, sender)
      this.#decoder.outcome.accepted++
    } catch (error) {
      const lineBytes = bytes.subarray(line.start, line.end)
      this.#decoder.reject(error, { bytes: lineBytes, sender, index: line.index, device })
    }
  }

  #deviceOf(line: Line, tag: number | undefined, sender: Sender): DeviceState {
    if (tag !== undefined) return this.#decoder.findDevice(line.tagValues[tag]!, sender)
    if (sender.device !== undefined) return sender.device
    throw new WeirError('GATEWAY_DEVICE_MISSING', `no tag ${this.#deviceTags.join(', ')}`)
  }

  /** Index of the tag that names the device. */
  #deviceTag(line: Line): number | undefined {
    for (const name of this.#deviceTags) {
      for (let i = 0; i < line.tagCount; i++) if (line.tagKeys[i] === name) return i
    }
    return undefined
  }
}

function toMessage(line: Line, deviceTag: number | undefined): Message {
  const tags = new Map<string, string>()
  for (let i = 0; i < line.tagCount; i++) {
    if (i !== deviceTag) tags.set(line.tagKeys[i]!, line.tagValues[i]!)
  }
  const metrics: [string, Scalar][] = []
  for (let i = 0; i < line.fieldCount; i++) metrics.push([line.fieldKeys[i]!, line.fieldValues[i]!])
  return {
    timeUs: line.timeUs ?? NaN,
    isTimeExact: true,
    id: undefined,
    schema: undefined,
    metrics,
    tags,
    extraDimensions: [['measurement', line.measurement]],
  }
}
