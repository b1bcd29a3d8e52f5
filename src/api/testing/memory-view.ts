/** A view of readings in memory, for answers about many devices. */
import type { SeriesDefinition } from '../../batch/batch.ts'
import type { GroupsSource, ReadingView, Value } from '../../query/query.ts'

export interface HeldReading {
  deviceId: string
  metric: string
  timeUs: number
  value: Value
}

export function lookAt(
  readings: readonly HeldReading[],
  typeOf: (deviceId: string) => string,
  completeness: () => number,
): GroupsSource['looks'] {
  return async ({ metric, deviceTypes }, run) => {
    const own = readings.filter((one) => one.metric === metric)
    const byDevice = [...Map.groupBy(own, ({ deviceId }) => deviceId)]
    const series = byDevice.map(([deviceId, [first]], at): SeriesDefinition => ({
      ...{ series: at, device: at, tenant: 'default', deviceId, metric, dimensions: [] },
      ...{ deviceType: typeOf(deviceId), kind: kindOf(first!.value) },
    }))
    const view: ReadingView = {
      async readings(wanted, consume) {
        for (const { series: id, spans } of wanted) {
          for (const { timeUs, value } of byDevice[id]![1]) {
            if (!spans.some(({ startUs, endUs }) => startUs <= timeUs && timeUs < endUs)) continue
            const row = [Int32Array.of(id), Float64Array.of(timeUs), Float64Array.of(Number(value))]
            const [ids, times, values] = row as [Int32Array, Float64Array, Float64Array]
            consume({ count: 1, series: ids, timeUs: times, value: values })
          }
        }
      },
      partials: async () => undefined,
      ...{ coverage: [], dirty: () => [], memoryTimes: () => new Float64Array(0) },
      ...{ tiers: new Set(['memory']), segmentsRead: 0, segmentsSkipped: 0, segmentsDamaged: 0 },
      ...{ completeness: completeness(), release: () => undefined },
    }
    const isAsked = ({ deviceType }: SeriesDefinition): boolean =>
      deviceTypes?.includes(deviceType) ?? true
    await run(series.filter(isAsked), view)
  }
}

const kindOf = (value: Value): SeriesDefinition['kind'] =>
  typeof value === 'number' ? 'number' : typeof value === 'boolean' ? 'boolean' : 'text'
