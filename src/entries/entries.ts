/**
 * What Weir writes into Kafka's topics: one entry a message, in Avro, for our own stages and for
 * anybody else's. An entry has no schema of its own: the version stands in the topic's name.
 *
 * E1 Names, not numbers: an entry is understood without anything before it.
 * E2 The key of an entry is `tenant/device`, its partition the one that Kafka's own partitioner
 *    gives to that key. So what other programs write for a device comes into the same partition.
 *    An entry of the readings topic has a header, `source`: the offset of its message in the
 *    telemetry topic, in the partition of the same number, as INT64. Sources of one device ascend,
 *    except where the stream began again from a checkpoint, and repeats what is behind that.
 *    Sources of a partition come in any order, since several writers share it; of those none is
 *    silent for a quarter of an hour while it has something to write and the others go on. An
 *    entry's Kafka timestamp says when it was written. A message without any reading has no entry.
 *    So a reader that wants each message once keeps the set of sources that it has taken, and
 *    leaves out those that come again (`src/cluster/taken-sources.ts`).
 * E3 What was encoded is decoded to the same readings, numbers first, then booleans, then texts.
 * E4 Bytes that are no entry are refused by ENTRY_MALFORMED, whatever they are, and nothing of
 *    them stays.
 * E5 A change of rules and the facts of a device have a place in the order of a partition: they
 *    hold for what is behind them.
 */
/** What each topic holds; a version is part of its name. */
export const TOPICS = ['telemetry', 'readings', 'windows', 'events', 'dead-letters'] as const
export type TopicKind = (typeof TOPICS)[number]

const FORMAT_VERSION = 1

/** Of a generation from 1 on: an installation that was given more partitions has several. */
export const topicName = (prefix: string, kind: TopicKind, generation = 1): string =>
  `${prefix}.${kind}.v${FORMAT_VERSION}${generation === 1 ? '' : `.g${generation}`}`

const map = (values: string) => ({ type: 'map', values }) as const
const micros = { type: 'long', logicalType: 'timestamp-micros' } as const

/**
 * Of the topics telemetry and readings. Booleans and texts have maps of their own, since consumers
 * like one type a map. What has no device and no metric stands in telemetry alone:
 *
 *   no dimensions                a tick, without a key: one a second, partition and gateway
 *   dimension `weir.rules`       RuleChange[] as JSON, without a key, in every partition
 *   dimension `weir.device`      NamedFacts as JSON, with the key of their device
 *
 * Readers that know the first only take the others for ticks, too. Other dimensions say nothing.
 */
export const MESSAGE_SCHEMA = {
  type: 'record',
  name: 'Message',
  namespace: 'weir',
  fields: [
    { name: 'tenant', type: 'string' },
    { name: 'device', type: 'string' },
    { name: 'device_type', type: 'string' },
    { name: 'event_us', type: micros },
    { name: 'ingest_us', type: micros },
    { name: 'flags', type: 'int', doc: '1 historical, 2 clock not believed, 4 without a time' },
    { name: 'identity', type: 'bytes', doc: 'Empty, or 8 bytes: the same in a repeat' },
    { name: 'dimensions', type: map('string') },
    { name: 'numbers', type: map('double') },
    { name: 'booleans', type: map('boolean') },
    { name: 'texts', type: map('string') },
  ],
} as const

/**
 * Of the topic windows: a partial of one series, on time or late; a later one of the same window
 * and kind replaces. Without a device it is a watermark: partials tell everything of windows that
 * end at or before `start_ms`.
 */
export const WINDOW_SCHEMA = {
  type: 'record',
  name: 'Window',
  namespace: 'weir',
  fields: [
    { name: 'tenant', type: 'string' },
    { name: 'device', type: 'string' },
    { name: 'device_type', type: 'string' },
    { name: 'metric', type: 'string' },
    { name: 'kind', type: 'int', doc: '0 number, 1 boolean' },
    { name: 'dimensions', type: map('string') },
    { name: 'window_ms', type: 'int' },
    { name: 'start_ms', type: 'long' },
    { name: 'is_late', type: 'boolean' },
    { name: 'count', type: 'long' },
    { name: 'sum', type: 'double' },
    { name: 'min', type: 'double' },
    { name: 'max', type: 'double' },
    { name: 'mean', type: 'double' },
    { name: 'squares', type: 'double', doc: 'Sum of squared distances from the mean' },
    { name: 'first', type: 'double' },
    { name: 'first_us', type: 'long' },
    { name: 'last', type: 'double' },
    { name: 'last_us', type: 'long' },
  ],
} as const

export { deviceKey, hashDevice, hashKey, partitionOf } from './device-key.ts'
export { MessageDecoder, type DecoderLimits } from './message-decoder.ts'
export { encodeRules, encodeTick, type ControlEntry } from './control-entry.ts'
export { MessageEncoder } from './message-encoder.ts'
export { withoutReadings } from './without-readings.ts'
export { decodeWindow, encodeWatermark, encodeWindow } from './window-entry.ts'
