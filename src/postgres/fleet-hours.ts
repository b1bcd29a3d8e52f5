/** Hours of whole fleets, as a question about many devices is answered from them. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { FleetHours, Span } from '../query/query.ts'
import { PARTIAL_SERIES } from '../stream/stream.ts'
import type { PartialPages } from './partial-pages.ts'
import type { Ask, Row } from './query-database.ts'
import { HOUR_MS, joinSpans, loadLate, type Hours } from './rollup-tables.ts'
import { spanIn } from './rollup-telling.ts'

interface FleetRow extends Row {
  id: number | null
  device_type: string
  size: number
}

/** A fleet that has an id has hours. */
const FLEETS = `
  SELECT id, counted.device_type, size FROM (
    SELECT device_type, count(*)::integer AS size FROM series
    WHERE tenant = $1 AND metric = $2 AND kind = 0 AND device_type = ANY ($3)
    GROUP BY device_type
  ) AS counted
  LEFT JOIN fleet ON tenant = $1 AND metric = $2 AND fleet.device_type = counted.device_type`

interface Fleet {
  id: number | undefined
  /** All its series, asked for or not. */
  size: number
  /** Those that are asked for, of which it has the number of the first. */
  series: readonly number[]
}

type ReadRows = (
  pages: PartialPages,
  consume: (row: Float64Array, sketch?: Uint8Array) => void,
) => Promise<void>

export class Fleets {
  readonly #span: Span
  readonly #fleets: ReadonlyMap<number, Fleet>
  readonly #fleetOf: ReadonlyMap<number, number>
  readonly #late: ReadonlyMap<number, readonly Span[]>
  readonly #lateFleets: ReadonlyMap<number, readonly Span[]>

  /** `late`: of the series. All are of one tenant and metric. */
  static async load(
    ask: Ask,
    all: readonly SeriesDefinition[],
    { summedUp, late }: { summedUp: Hours; late: ReadonlyMap<number, readonly Span[]> },
  ): Promise<Fleets | undefined> {
    const numbers = all.filter(({ kind }) => kind === 'number')
    const [first] = numbers
    if (first === undefined) return undefined
    const byType = Map.groupBy(numbers, ({ deviceType }) => deviceType)
    const rows = await ask<FleetRow>(FLEETS, [first.tenant, first.metric, [...byType.keys()]])
    const fleets = rows.map(({ id, device_type, size }) => ({
      ...{ id: id ?? undefined, size },
      series: (byType.get(device_type) ?? []).map(({ series }) => series),
    }))
    const ids = fleets.flatMap(({ id }) => (id === undefined ? [] : [id]))
    const lateFleets = await loadLate(ask, 'late_fleet_hour', ids)
    return new Fleets(spanIn(summedUp), fleets, { late, lateFleets })
  }

  private constructor(
    span: Span,
    fleets: readonly Fleet[],
    late: Record<'late' | 'lateFleets', ReadonlyMap<number, readonly Span[]>>,
  ) {
    this.#span = span
    this.#fleets = new Map(fleets.map((fleet) => [fleet.series[0]!, fleet]))
    this.#fleetOf = new Map(
      fleets.flatMap(({ series }) => series.map((one) => [one, series[0]!] as const)),
    )
    this.#late = late.late
    this.#lateFleets = late.lateFleets
  }

  asked(read: ReadRows): FleetHours {
    return {
      span: this.#span,
      fleetOf: (series) => this.#fleetOf.get(series)!,
      size: (fleet) => this.#fleets.get(fleet)!.size,
      unsure: (fleet) => this.#unsure(this.#fleets.get(fleet)!),
      hours: (fleets, what, consume) => {
        const byId = new Map(
          fleets.flatMap((fleet) => {
            const { id } = this.#fleets.get(fleet)!
            return id === undefined ? [] : [[id, fleet] as const]
          }),
        )
        const pages = { ids: [...byId.keys()], windowMs: HOUR_MS, ...what }
        return read(pages, (row, sketch) => {
          row[PARTIAL_SERIES] = byId.get(row[PARTIAL_SERIES]!)!
          consume(row, sketch)
        })
      },
    }
  }

  /** Of one of which all series are asked for. */
  #unsure({ id, series }: Fleet): Span[] {
    const own = series.flatMap((one) => this.#late.get(one) ?? [])
    return joinSpans([...own, ...(id === undefined ? [] : (this.#lateFleets.get(id) ?? []))])
  }
}
