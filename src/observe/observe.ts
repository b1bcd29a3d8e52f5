/**
 * What every stage tells about itself. A stage owns a `Registry` of counters, gauges and histograms
 * (plain numbers, cheap enough for the hot path); its `samples()` are plain data that cross threads
 * by structured clone, and `renderMetrics` prints all of them for Prometheus.
 *
 * Names are `weir_<stage>_<noun>_<unit>[_total]` in base units. A label never holds a device id.
 */
export { Counter, Histogram, Registry } from './registry.ts'
export { METRICS_CONTENT_TYPE, renderMetrics } from './render-metrics.ts'
export { SloCounter } from './slo.ts'
export { createEvents, tellEvent } from './events.ts'
export type { EventCall, Events, EventLevel } from './events.ts'

/**
 * One number of the system. A histogram is given as its parts: `name_bucket` (cumulative, with the
 * label `le`), `name_sum` and `name_count`, all of the type 'histogram'.
 */
export interface MetricSample {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  labels: Record<string, string>
  value: number
}
