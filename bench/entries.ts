/**
 * What does an entry of Kafka's topics cost in Avro and in JSON: bytes, and messages/s of one core,
 * encoded from the gateway's frames and decoded into the columns that stages work on.
 */
import { encodeFrame, decodeFrame } from '../src/batch/batch.ts'
import type { Definitions, ReadingBatch, SeriesDefinition } from '../src/batch/batch.ts'
import { MessageDecoder, MessageEncoder } from '../src/entries/entries.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'

const FRAMES = 5
const RUNS = numberFlag('runs', isQuick ? 3 : 7)
/** CPU time of one way in one run. */
const RUN_MS = numberFlag('seconds', isQuick ? 0.7 : 3) * 1000
/** About what a group commit holds at 200,000 messages/s. */
const MESSAGES = 2000
const DEVICES = FRAMES * MESSAGES
const METRICS = ['temperature', 'humidity', 'battery_voltage']
const PARTITIONS = 12
const BASE_US = 1_753_000_000_000_000

/** What a consumer of JSON would be sent: the same names and the same things. */
interface JsonMessage {
  tenant: string
  device: string
  device_type: string
  event_us: number
  ingest_us: number
  flags: number
  dimensions: Record<string, string>
  metrics: Record<string, number>
}

const definitions: Definitions = {
  texts: [],
  series: Array.from({ length: DEVICES * METRICS.length }, (_, series): SeriesDefinition => {
    const device = Math.floor(series / METRICS.length)
    return {
      ...{ series, device, tenant: 'default', deviceType: 'climate-sensor', dimensions: [] },
      deviceId: `climate-${String(device).padStart(5, '0')}`,
      ...{ metric: METRICS[series % METRICS.length]!, kind: 'number' },
    }
  }),
}

/** Frames in which all devices take turns, values with two decimals as sensors send them. */
function makeFrames(): ReadingBatch[] {
  return Array.from({ length: FRAMES }, (_, frame): ReadingBatch => {
    const readingCount = MESSAGES * METRICS.length
    const device = Uint32Array.from({ length: MESSAGES }, (_, at) => frame * MESSAGES + at)
    return decodeFrame(
      encodeFrame({
        ...{ messageCount: MESSAGES, readingCount, baseIngestTimeUs: BASE_US + frame * 10_000 },
        eventTimeUs: Float64Array.from(device, (one) => BASE_US - 500_000 + one * 1000),
        ingestDeltaUs: Uint32Array.from(device, (_, at) => at * 5),
        device,
        ...{ identityHigh: undefined, identityLow: undefined },
        readingsInMessage: new Uint16Array(MESSAGES).fill(METRICS.length),
        flags: new Uint8Array(MESSAGES),
        value: Float64Array.from({ length: readingCount }, (_, at) => ((at * 7919) % 9000) / 100),
        series: Uint32Array.from(
          { length: readingCount },
          (_, at) => frame * MESSAGES * METRICS.length + at,
        ),
        ...{ definitions: undefined, deadLetters: undefined },
      }),
    )
  })
}

function encodeJson(batch: ReadingBatch): Buffer[] {
  const values: Buffer[] = []
  for (let message = 0; message < batch.messageCount; message++) {
    const from = message * METRICS.length
    const { tenant, deviceId, deviceType } = definitions.series[batch.series[from]!]!
    const metrics: Record<string, number> = {}
    for (let at = from; at < from + METRICS.length; at++)
      metrics[definitions.series[batch.series[at]!]!.metric] = batch.value[at]!
    const ingestUs = batch.baseIngestTimeUs + batch.ingestDeltaUs[message]!
    const json: JsonMessage = {
      ...{ tenant, device: deviceId, device_type: deviceType },
      ...{ event_us: batch.eventTimeUs[message]!, ingest_us: ingestUs, flags: 0 },
      ...{ dimensions: {}, metrics },
    }
    values.push(Buffer.from(JSON.stringify(json)))
  }
  return values
}

const seriesByName = new Map(
  definitions.series.map((one) => [`${one.tenant}/${one.deviceId}/${one.metric}`, one.series]),
)
const decoded = new Float64Array(MESSAGES * METRICS.length)

/** Into the same as the decoder gives: a number for each series, and its value. */
function decodeJson(values: Buffer[]): void {
  let at = 0
  for (const value of values) {
    const message = JSON.parse(value.toString()) as JsonMessage
    const device = `${message.tenant}/${message.device}`
    for (const [metric, number] of Object.entries(message.metrics)) {
      if (seriesByName.get(`${device}/${metric}`) === undefined)
        throw new Error('an unknown series')
      decoded[at++] = number
    }
  }
}

/** CPU time of this process, ms: others on the machine do not count, the garbage collector does. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Messages per second of CPU, median of the runs; `work` handles one frame's messages. */
function measure(work: (frame: number) => void): number {
  const rates: number[] = []
  for (let run = -1; run < RUNS; run++) {
    const startMs = cpuMs()
    let messages = 0
    // The first run only warms the compiler up.
    while (cpuMs() - startMs < RUN_MS) {
      for (let frame = 0; frame < FRAMES; frame++) work(frame)
      messages += DEVICES
    }
    if (run >= 0) rates.push(messages / ((cpuMs() - startMs) / 1000))
  }
  return median(rates)
}

const reporter = new Reporter('entries', 'entries of Kafka’s topics: Avro beside JSON, one core')
const frames = makeFrames()

const encoder = new MessageEncoder({ partitions: PARTITIONS })
encoder.encode({ ...frames[0]!, messageCount: 0, readingCount: 0, definitions })
const avro = frames.map((frame) => encoder.encode(frame).map(({ value }) => value))
const json = frames.map(encodeJson)

const meanBytes = (values: Uint8Array[][]): number =>
  values.flat().reduce((sum, { length }) => sum + length, 0) / DEVICES
reporter.add('Avro: bytes an entry', meanBytes(avro), 'B')
reporter.add('JSON: bytes an entry', meanBytes(json), 'B')

const decoder = new MessageDecoder({ seriesMax: 1_000_000, textsMax: 1000 })
const decodeAvro = (values: Uint8Array[]): void => {
  decoder.begin(BASE_US)
  for (const value of values) decoder.add(value)
  if (decoder.take().messageCount !== MESSAGES) throw new Error('messages are missing')
}
reporter.add(
  'Avro: encoded',
  measure((frame) => void encoder.encode(frames[frame]!)),
  'messages/s',
)
reporter.add(
  'JSON: encoded',
  measure((frame) => void encodeJson(frames[frame]!)),
  'messages/s',
)
reporter.add(
  'Avro: decoded',
  measure((frame) => decodeAvro(avro[frame]!)),
  'messages/s',
)
reporter.add(
  'JSON: decoded',
  measure((frame) => decodeJson(json[frame]!)),
  'messages/s',
)
reporter.note(
  `3 metrics, ${DEVICES} devices, rates are per second of CPU time, collecting garbage included`,
)
reporter.finish()
