/** What stream and storage count, as `/metrics` prints it. */
import type { MetricSample } from '../observe/observe.ts'
import type { Storage } from '../storage/storage.ts'
import type { StreamProcessor } from '../stream/processor.ts'

type Row = readonly [name: string, help: string, type: 'counter' | 'gauge', value: number]

const samples = (rows: readonly Row[]): MetricSample[] =>
  rows.map(([name, help, type, value]) => ({ name, help, type, labels: {}, value }))

export function streamSamples(processor: StreamProcessor): MetricSample[] {
  const s = processor.statistics()
  return samples([
    ['weir_stream_readings_total', 'Readings processed.', 'counter', s.readings],
    ['weir_stream_duplicates_total', 'Readings recognised as repeats.', 'counter', s.duplicates],
    [
      'weir_stream_unverified_total',
      'Readings older than the memory of repeats.',
      'counter',
      s.unverified,
    ],
    ['weir_stream_late_total', 'Readings that came after their window.', 'counter', s.late],
    ['weir_stream_partials_total', 'Window partials emitted.', 'counter', s.partials],
    ['weir_stream_rule_events_total', 'Rule events emitted.', 'counter', s.ruleEvents],
    ['weir_stream_anomalies_total', 'Anomalies emitted.', 'counter', s.anomalies],
    ['weir_stream_state_bytes', 'Memory of series, windows and rules.', 'gauge', s.stateBytes],
    ['weir_stream_watermark_seconds', 'Event time that is complete.', 'gauge', s.watermarkUs / 1e6],
  ])
}

export function processSamples(): MetricSample[] {
  const { user, system } = process.cpuUsage()
  return samples([
    ['process_resident_memory_bytes', 'Resident memory.', 'gauge', process.memoryUsage.rss()],
    ['process_cpu_seconds_total', 'CPU time, user and system.', 'counter', (user + system) / 1e6],
  ])
}

export function storageSamples(storage: Storage, readingsTaken: number): MetricSample[] {
  const s = storage.statistics()
  return samples([
    ['weir_storage_readings_total', 'Readings taken in since start.', 'counter', readingsTaken],
    ['weir_storage_readings_stored', 'Readings in segments.', 'gauge', s.readingsStored],
    [
      'weir_storage_readings_in_memory',
      'Readings not yet in a segment.',
      'gauge',
      s.readingsInMemory,
    ],
    ['weir_storage_segments', 'Segments.', 'gauge', s.segmentCount],
    [
      'weir_storage_segments_damaged',
      'Segments that are damaged and set aside.',
      'gauge',
      s.segmentsDamaged,
    ],
    [
      'weir_storage_merge_debt_segments',
      'Small segments waiting to be merged.',
      'gauge',
      s.mergeDebt,
    ],
    [
      'weir_storage_summed_up_timestamp_seconds',
      'Hours before it are summed up.',
      'gauge',
      (s.summedUpToUs ?? 0) / 1e6,
    ],
    ['weir_storage_disk_bytes', 'Size of all segments.', 'gauge', s.bytesOnDisk],
    ['weir_cache_hits_total', 'Answers that came from the cache.', 'counter', s.answers.hits],
    ['weir_cache_misses_total', 'Answers that did not.', 'counter', s.answers.misses],
    ['weir_cache_bytes', 'Answers that are kept.', 'gauge', s.answers.bytes],
    ['weir_storage_series', 'Series known.', 'gauge', s.seriesCount],
    ['weir_storage_dead_letters', 'Dead letters kept.', 'gauge', s.deadLetters],
    ['weir_storage_commits_total', 'Checkpoints committed since start.', 'counter', s.commits],
    [
      'weir_storage_checkpoint_timestamp_seconds',
      'When the last checkpoint was committed.',
      'gauge',
      s.lastCommitAtUs / 1e6,
    ],
    [
      'weir_storage_checkpoint_offset',
      'Log offset of the last checkpoint.',
      'gauge',
      s.lastCommitOffset,
    ],
  ])
}
