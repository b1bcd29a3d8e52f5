/** The text of statements that sum up the lake's files by group and step. */
import { isPlainFolder } from '../lake/lake.ts'
import { literal, type EngineValue } from './lake-engine.ts'
import type { EngineFile, EngineSteps, PartialsQuestion } from './partials.ts'

/** Of the table's column `time`: µs either way. */
export type TimeType = 'timestamp(6)' | 'bigint'

export interface PartialStatement {
  text: string
  files: number
  /** That it must find, in all groups together. */
  rows: number
  groupOf: (value: EngineValue) => string
  /** Of a step, µs. */
  timeOf: (value: number) => number
}

export interface StatementPlace {
  table: string
  location: string
  time: TimeType
  /** Characters. */
  lengthMax: number
}

const SECOND_US = 1_000_000
/** `, ` behind a path, and its year and month, which others may have too. */
const LISTED_LENGTH = 2 + '2026, '.length + '12, '.length

/**
 * Columns: group, step, type of the times, count, sum, min, max, mean, squares. Undefined: one
 * would be too long.
 */
export function partialStatements(
  question: PartialsQuestion,
  place: StatementPlace,
): PartialStatement[] | undefined {
  const frame = frameOf(question, place)
  // Names of files take what is left, and that should not be the least part.
  const room = place.lengthMax - frame([]).length
  if (room < place.lengthMax / 2) return undefined
  return cutFiles(question, place, room).map((files) => ({
    text: frame(files),
    files: files.length,
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    groupOf: groupReader(question, files),
    timeOf: timeReader(question.steps),
  }))
}

const pathOf = ({ location }: StatementPlace, { key }: EngineFile): string =>
  literal(`${location}/${key}`)

/** As many as there is room for; of one type, where types are the groups: files name theirs. */
function cutFiles(
  { files, groups }: PartialsQuestion,
  place: StatementPlace,
  room: number,
): EngineFile[][] {
  const all =
    groups === 'type' ? [...Map.groupBy(files, ({ deviceType }) => deviceType).values()] : [files]
  return all.flatMap((own) => {
    const cut: EngineFile[][] = []
    let length = Infinity
    for (const file of own.toSorted((a, b) => a.year - b.year || a.month - b.month)) {
      const added = pathOf(place, file).length + LISTED_LENGTH
      if (length + added > room) {
        cut.push([])
        length = 0
      }
      cut.at(-1)!.push(file)
      length += added
    }
    return cut
  })
}

/** The statement around the names of files. */
function frameOf(
  question: PartialsQuestion,
  place: StatementPlace,
): (files: readonly EngineFile[]) => string {
  const { tenant, metric, files, groups, dimensions } = question
  const step = `CASE WHEN ${withinSpan(question, place)} THEN ${stepOf(question.steps, place)} END`
  const group = groups === 'device' ? 'device_id' : typeof groups === 'string' ? `''` : 'place'
  const aggregates = [
    'typeof(max("time"))',
    ...['count(*)', 'sum("value")', 'min("value")', 'max("value")', 'avg("value")'],
    'var_pop("value") * count("value")',
  ]
  const conditions = [
    `metric = ${literal(metric)}`,
    ...(dimensions === undefined ? [] : [`dimensions IN (${dimensions.map(literal).join(', ')})`]),
    ...folderCondition('tenant', [tenant]),
    ...folderCondition('type', [...new Set(files.map(({ deviceType }) => deviceType))]),
  ]
  const select = `SELECT ${group} AS "group", ${step} AS step, ${aggregates.join(', ')}`
  const from = `FROM ${place.table}${typeof groups === 'string' ? '' : devicesOf(groups)}`
  const by = group === `''` ? 'GROUP BY 2' : 'GROUP BY 1, 2'
  return (files) => {
    const paths = files.map((file) => pathOf(place, file))
    const where = [
      `year IN (${listOf(files.map(({ year }) => year))})`,
      `month IN (${listOf(files.map(({ month }) => month))})`,
      `"$path" IN (${paths.join(', ')})`,
      ...conditions,
    ]
    return `${select} ${from} WHERE ${where.join(' AND ')} ${by}`
  }
}

/** It only spares looking into others' folders: the files that are named are in these. */
const folderCondition = (name: 'tenant' | 'type', values: readonly string[]): string[] =>
  values.every((value) => isPlainFolder(name, value))
    ? [`${name} IN (${values.map(literal).join(', ')})`]
    : []

const listOf = (numbers: readonly number[]): string => [...new Set(numbers)].join(', ')

/** Devices by the number of their group. */
function devicesOf(groups: ReadonlyMap<string, string>): string {
  const places = placesOf(groups)
  const rows = [...groups].map(([device, group]) => `(${literal(device)}, ${places.get(group)!})`)
  return ` JOIN (VALUES ${rows.join(', ')}) AS asked (asked_device, place) ON asked_device = device_id`
}

const placesOf = (groups: ReadonlyMap<string, string>): Map<string, number> =>
  new Map([...new Set(groups.values())].map((group, place) => [group, place]))

function groupReader(
  { groups }: PartialsQuestion,
  files: readonly EngineFile[],
): PartialStatement['groupOf'] {
  if (groups === 'all') return () => ''
  if (groups === 'type') return () => files[0]!.deviceType
  if (groups === 'device') return String
  const names = [...placesOf(groups).keys()]
  return (place) => names[Number(place)]!
}

const withinSpan = ({ startUs, endUs }: PartialsQuestion, { time }: StatementPlace): string => {
  const boundOf = (us: number): string => (time === 'bigint' ? String(us) : timestamp(us))
  return `"time" >= ${boundOf(Math.ceil(startUs))} AND "time" < ${boundOf(Math.ceil(endUs))}`
}

/** `TIMESTAMP '2026-07-31 23:59:59.999999'`, of the years 0 to 9999. */
function timestamp(us: number): string {
  const ms = Math.floor(us / 1000)
  const micros = String(us - ms * 1000).padStart(3, '0')
  return `TIMESTAMP '${new Date(ms).toISOString().replace('T', ' ').replace('Z', micros)}'`
}

/** Rounded downwards, also before 1970, and in integers: a double has no µs of some years. */
const SECONDS: Record<TimeType, string> = {
  'timestamp(6)': `CAST(to_unixtime(date_trunc('second', "time")) AS bigint)`,
  bigint: `("time" - (("time" % ${SECOND_US}) + ${SECOND_US}) % ${SECOND_US}) / ${SECOND_US}`,
}

function stepOf(steps: EngineSteps, { time }: StatementPlace): string {
  if (steps.kind === 'all') return '0'
  const seconds = SECONDS[time]
  if (steps.kind === 'starts') {
    const starts = steps.startsUs.map((us) => `${us / SECOND_US}e0`)
    return `width_bucket(CAST(${seconds} AS double), ARRAY[${starts.join(', ')}])`
  }
  const width = steps.widthUs / SECOND_US
  return `${seconds} - ((${seconds} % ${width}) + ${width}) % ${width}`
}

function timeReader(steps: EngineSteps): PartialStatement['timeOf'] {
  if (steps.kind === 'starts') return (bucket) => steps.startsUs[bucket - 1]!
  return (seconds) => seconds * SECOND_US
}
