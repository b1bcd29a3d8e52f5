/** What the gateway and its log count, as `/metrics` prints it. */
import type { Log } from '../log/log.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Gateway } from './gateway-stage.ts'

const counter = (name: string, help: string, value: number): MetricSample => ({
  name,
  help,
  type: 'counter',
  labels: {},
  value,
})
const gauge = (name: string, help: string, value: number): MetricSample => ({
  ...counter(name, help, value),
  type: 'gauge',
})

export function gatewaySamples(gateway: Gateway): MetricSample[] {
  const { mqtt, commit, decoder, deadLetters } = gateway
  const by = (label: string, counts: Map<string, number>, name: string, help: string) =>
    [...counts].map(([key, value]) => ({ ...counter(name, help, value), labels: { [label]: key } }))
  const byCode = (name: string, help: string, counts: Map<string, number>): MetricSample[] =>
    by('code', counts, name, help)
  return [
    counter('weir_gateway_messages_total', 'Messages made durable.', gateway.acceptedMessages),
    counter('weir_gateway_readings_total', 'Readings made durable.', gateway.acceptedReadings),
    counter(
      'weir_gateway_fast_messages_total',
      'Messages read by a learned shape, without parsing their JSON.',
      decoder.fastCount,
    ),
    ...byCode('weir_gateway_rejected_total', 'Messages refused, by code.', decoder.rejectedByCode),
    counter(
      'weir_gateway_dead_letters_total',
      'Refused messages that were kept.',
      deadLetters.kept,
    ),
    counter(
      'weir_gateway_dead_letters_dropped_total',
      'Refused messages beyond their device’s hourly share: counted, not kept.',
      deadLetters.countedOnly,
    ),
    gauge('weir_gateway_connections', 'Open MQTT connections.', mqtt.connectionCount),
    counter('weir_gateway_connections_total', 'MQTT connections accepted.', mqtt.accepted),
    ...byCode('weir_gateway_disconnects_total', 'Connections ended by us, by code.', mqtt.failures),
    ...by(
      'reason',
      mqtt.filterRefusals,
      'weir_gateway_filters_refused_total',
      'Topic filters that no subscription was made for.',
    ),
    gauge('weir_gateway_held_connections', 'Connections not read from now.', mqtt.heldCount),
    gauge(
      'weir_gateway_asking_connections',
      'Connections that wait for an answer of the registry.',
      mqtt.askingCount,
    ),
    gauge(
      'weir_log_lag_bytes',
      'Durable and not yet taken by stream and storage.',
      commit.forwarding.lagBytes,
    ),
    gauge(
      'weir_log_replay_entries',
      'Entries that wait to be replayed since the restart; 0 when that is done.',
      commit.forwarding.waitingEntries,
    ),
    counter(
      'weir_log_replayed_entries_total',
      'Entries replayed since the restart.',
      commit.forwarding.replayedEntries,
    ),
    ...gateway.registry.samples(),
  ]
}

export function logSamples({ statistics, nextOffset, firstOffset }: Log): MetricSample[] {
  return [
    counter('weir_log_entries_total', 'Entries appended.', statistics.entriesAppended),
    counter('weir_log_bytes_total', 'Bytes appended.', statistics.bytesAppended),
    counter('weir_log_flushes_total', 'Flushes to disk.', statistics.flushes),
    gauge('weir_log_disk_bytes', 'Size of the log.', statistics.bytesOnDisk),
    gauge('weir_log_next_offset', 'Offset of the next entry.', nextOffset),
    gauge('weir_log_first_offset', 'Oldest offset kept.', firstOffset),
  ]
}
