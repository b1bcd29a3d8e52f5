/** What whole fleets had in some hours, and the rows that this becomes. */
import type pg from 'pg'
import type { SeriesDefinition } from '../batch/batch.ts'
import { PARTIAL_COUNT, PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import { insertRows, WindowSum, worthOf, type SummedRow } from './rollup-rows.ts'
import { HOUR_MS, type Hours } from './rollup-tables.ts'

/** Fleets of so many series tell of hours without readings: to ask all of them takes long. */
const SILENT_SERIES_MIN = 16

export type FleetName = Pick<SeriesDefinition, 'tenant' | 'deviceType' | 'metric'>

interface FleetSum {
  name: FleetName
  size: number
  /** By start. */
  hours: Map<number, WindowSum>
}

const keyOf = ({ tenant, deviceType, metric }: FleetName): string =>
  JSON.stringify([tenant, deviceType, metric])

export class FleetSums {
  readonly #fleets = new Map<string, FleetSum>()
  readonly #fleetOf = new Map<number, FleetSum>()

  /** Before their hours. Of a fleet all series are added, also those without any. */
  addSeries(all: readonly SeriesDefinition[]): void {
    this.#fleetOf.clear()
    for (const { series, tenant, deviceType, metric } of all) {
      const name = { tenant, deviceType, metric }
      const known = this.#fleets.get(keyOf(name)) ?? { name, size: 0, hours: new Map() }
      this.#fleets.set(keyOf(name), known)
      this.#fleetOf.set(series, known)
      known.size++
    }
  }

  /** An hour of one of the series that were added last. */
  add(hour: SummedRow): void {
    const { hours } = this.#fleetOf.get(hour.row[PARTIAL_SERIES]!)!
    hourOf(hours, hour.row[PARTIAL_START_MS]!).add(hour)
  }

  /** Where they have no rows. */
  async insert(client: pg.ClientBase, { fromMs, toMs }: Hours): Promise<void> {
    const fleets = [...this.#fleets.values()]
    const ids = await fleetIds(
      client,
      fleets.map(({ name }) => name),
    )
    const rows = fleets.flatMap(({ size, hours }, at) => {
      for (let ms = fromMs; ms < toMs && size >= SILENT_SERIES_MIN; ms += HOUR_MS) hourOf(hours, ms)
      return [...hours.values()].flatMap((hour) => {
        const sum = hour.sum()
        const isSilent = sum.row[PARTIAL_COUNT] === 0
        const kept = isSilent ? { row: sum.row, sketch: undefined } : worthOf(sum)
        if (kept === undefined) return []
        kept.row[PARTIAL_SERIES] = ids[at]!
        return [kept]
      })
    })
    await insertRows(client, 'fleet_rollup', rows)
  }
}

function hourOf(hours: Map<number, WindowSum>, startMs: number): WindowSum {
  let hour = hours.get(startMs)
  if (hour === undefined) {
    // Whose it is becomes known with the row.
    hours.set(startMs, (hour = new WindowSum({ series: 0, windowMs: HOUR_MS, startMs })))
  }
  return hour
}

const NAMES = 'unnest($1::text[], $2::text[], $3::text[]) AS named (tenant, metric, device_type)'

/** In the order of their names; made where there is none. Nobody else makes any meanwhile. */
export async function fleetIds(
  client: pg.ClientBase,
  names: readonly FleetName[],
): Promise<number[]> {
  const values = [
    names.map(({ tenant }) => tenant),
    names.map(({ metric }) => metric),
    names.map(({ deviceType }) => deviceType),
  ]
  await client.query(
    `INSERT INTO fleet (tenant, metric, device_type)
     SELECT DISTINCT tenant, metric, device_type FROM ${NAMES} WHERE NOT EXISTS (
       SELECT FROM fleet WHERE (fleet.tenant, fleet.metric, fleet.device_type)
         = (named.tenant, named.metric, named.device_type))`,
    values,
  )
  const { rows } = await client.query<{ id: number }>(
    `SELECT id FROM unnest($1::text[], $2::text[], $3::text[])
       WITH ORDINALITY AS named (tenant, metric, device_type, place)
     JOIN fleet USING (tenant, metric, device_type) ORDER BY place`,
    values,
  )
  return rows.map(({ id }) => id)
}
