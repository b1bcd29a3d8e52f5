/** What whole fleets had in some hours, and the rows that this becomes. */
import type pg from 'pg'
import type { SeriesDefinition } from '../batch/batch.ts'
import { PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import {
  insertRows,
  WindowSum,
  type FleetName,
  type KeptOf,
  type SummedRow,
} from './rollup-rows.ts'
import { DAY_MS, HOUR_MS, type Hours } from './rollup-tables.ts'

/** Fleets of so many series tell of hours without readings: to ask all of them takes long. */
const SILENT_SERIES_MIN = 16
/** Of history: so near to hours with readings, so that nights and days off are told. */
const SILENT_MS = 8 * DAY_MS

/** Of which rows are made. */
export interface MadeHours extends Hours {
  isHistory?: boolean
}

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
  async insert(
    client: pg.ClientBase,
    { fromMs, toMs, kept, isHistory = false }: MadeHours & { kept: KeptOf },
  ): Promise<void> {
    const fleets = [...this.#fleets.values()]
    const names = fleets.map(({ name }) => name)
    const ids = await fleetIds(client, names)
    const rows = fleets.flatMap(({ name, hours }, at) =>
      [...hours.values()].flatMap((hour) => {
        const sum = kept(name, hour.sum())
        return sum === undefined ? [] : [withId(sum, ids[at]!)]
      }),
    )
    await insertRows(client, 'fleet_rollup', rows)
    const large = ids.filter((_, at) => fleets[at]!.size >= SILENT_SERIES_MIN)
    const telling = new Set(isHistory ? await speaking(client, large, { fromMs, toMs }) : large)
    const silent = fleets.flatMap(({ hours }, at) => {
      if (!telling.has(ids[at]!)) return []
      const starts = Array.from(
        { length: (toMs - fromMs) / HOUR_MS },
        (_, hour) => fromMs + hour * HOUR_MS,
      )
      return starts
        .filter((startMs) => !hours.has(startMs))
        .map((startMs) => withId({ row: emptyHour(startMs).row, sketch: undefined }, ids[at]!))
    })
    await insertRows(client, 'fleet_rollup', silent)
  }
}

/** Those that have rows with readings near these hours. */
async function speaking(
  client: pg.ClientBase,
  ids: readonly number[],
  { fromMs, toMs }: Hours,
): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>(
    `SELECT id FROM unnest($1::integer[]) AS one (id) WHERE EXISTS (
       SELECT FROM fleet_rollup WHERE fleet = id AND window_ms = ${HOUR_MS}
         AND start_ms >= $2 AND start_ms < $3 AND count > 0
     )`,
    [ids, fromMs - SILENT_MS, toMs + SILENT_MS],
  )
  return rows.map(({ id }) => id)
}

// Whose it is becomes known with the row.
const emptyHour = (startMs: number): WindowSum =>
  new WindowSum({ series: 0, windowMs: HOUR_MS, startMs })

function withId(sum: SummedRow, id: number): SummedRow {
  sum.row[PARTIAL_SERIES] = id
  return sum
}

function hourOf(hours: Map<number, WindowSum>, startMs: number): WindowSum {
  let hour = hours.get(startMs)
  if (hour === undefined) hours.set(startMs, (hour = emptyHour(startMs)))
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
