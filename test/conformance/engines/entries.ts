/** Event scripts as entries of one partition of telemetry, as gateways write them. */
import { decodeFrame, type ReadingBatch } from '../../../src/batch/batch.ts'
import { AvroWriter } from '../../../src/entries/avro-writer.ts'
import { MessageEncoder } from '../../../src/entries/entries.ts'
import type { ReadEntry } from '../../../src/kafka/kafka.ts'
import { frameOf, type ScriptFrame } from '../../../src/stream/script.ts'

/** With the time at which it is read: a gateway's clock that is set does not change it. */
export interface TimedEntry extends ReadEntry {
  readMs: number
}

/** More than that between two frames is a clock that was set. */
const PASSED_MS_MAX = 600_000

/** A tick before what each frame says. The devices may have other names. */
export function entriesOf(
  script: readonly ScriptFrame[],
  { suffix = '' }: { suffix?: string } = {},
): TimedEntry[] {
  const encoder = new MessageEncoder({ partitions: 1 })
  const named = (bytes: Uint8Array): ReadingBatch => {
    const batch = decodeFrame(bytes)
    const { series = [], devices = [] } = batch.definitions ?? {}
    for (const one of [...series, ...devices]) one.deviceId += suffix
    return batch
  }
  let [timestampMs, readMs] = [0, Math.ceil(script[0]!.baseUs / 1000)]
  const entries = script.flatMap((frame, at) => {
    const { baseUs, messages, rules = [], devices = [] } = frame
    const passedMs = Math.ceil(baseUs / 1000) - timestampMs
    timestampMs += passedMs
    if (passedMs > 0 && passedMs <= PASSED_MS_MAX) readMs += passedMs
    const tick = encoder.encode(named(frameOf({ baseUs, messages: [] }, at === 0)))
    const isSaying = messages.length + rules.length + devices.length > 0
    const said = isSaying ? encodeSaid(encoder, named(frameOf(frame, false))) : []
    return [...tick, ...said].map((entry) => ({ ...entry, timestampMs, readMs }))
  })
  return entries.map(({ key, value, ...then }, offset) => ({
    ...{ offset, key, value: Uint8Array.from(value), ...then },
  }))
}

/** Without messages a frame would be a tick as well, which it is not here. */
function encodeSaid(encoder: MessageEncoder, batch: ReadingBatch) {
  const said = encoder.encode(batch)
  return batch.messageCount > 0 ? said : said.slice(0, -1)
}

/** As another program may write it; `told` are its dimensions, in their order. */
export function encodeMessage({
  device = '',
  type = 'pump',
  atUs = 1_700_000_050_000_000,
  told = {},
  numbers = [],
  texts = [],
}: {
  device?: string
  type?: string
  atUs?: number
  told?: Record<string, string>
  numbers?: [string, number][]
  texts?: [string, string][]
}): Uint8Array {
  const writer = new AvroWriter(64)
  for (const name of [device === '' ? '' : 'default', device, device === '' ? '' : type])
    writer.string(name)
  writer.long(atUs)
  writer.long(atUs)
  // No flags, no identity.
  writer.long(0)
  writer.long(0)
  writer.strings(Object.entries(told))
  if (numbers.length > 0) writer.long(numbers.length)
  for (const [name, value] of numbers) {
    writer.string(name)
    writer.double(value)
  }
  // The map's end, and no booleans.
  writer.long(0)
  writer.long(0)
  writer.strings(texts)
  return writer.take()
}
