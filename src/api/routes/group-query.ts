/** Questions about many devices: which are meant, how they are grouped, and the answer's forms. */
import { Type } from 'typebox'
import { eachDevice, type Device } from '../../control/control.ts'
import type { GroupsAnswer, GroupsQuestion } from '../../query/query.ts'
import { pointsAsTable } from '../answer-format.ts'
import type { QueryPorts } from '../api.ts'
import { invalidParameter, parsePair } from '../parameters.ts'
import type { Answer } from '../route.ts'
import { rowsAsCsv, rowsAsLines, timeCell } from './rows-text.ts'

/** Devices that tags and boxes are compared of: the list is read for each question. */
const LISTED_MAX = 200_000

export const GroupsQuery = {
  group_by: Type.Optional(
    Type.String({
      pattern: '^(type|device|tag:.+)$',
      description:
        'Without device_id: a group for each type, device, or value of a tag (tag:site).',
    }),
  ),
  type: Type.Optional(
    Type.String({ description: 'Without device_id: devices of this type only.' }),
  ),
  tag: Type.Optional(
    Type.Array(Type.String({ pattern: '^[^=]+=' }), {
      maxItems: 16,
      description: 'name=value; without device_id: only devices with this tag. May be repeated.',
    }),
  ),
  box: Type.Optional(
    Type.String({
      description:
        'west,south,east,north in degrees; without device_id: only devices whose location is ' +
        '"latitude,longitude" within.',
    }),
  ),
}

export interface GroupsFilter {
  group_by?: string
  type?: string
  tag?: string[]
  box?: string
}

export const GROUP_PARAMETERS: readonly (keyof GroupsFilter)[] = ['group_by', 'type', 'tag', 'box']

/** Errors: API_PARAMETER_INVALID. */
export async function groupsOf(
  { control }: Pick<QueryPorts, 'control'>,
  tenant: string,
  filter: GroupsFilter,
): Promise<Pick<GroupsQuestion, 'groups' | 'deviceTypes'>> {
  const { group_by: by, type, tag = [], box } = filter
  const deviceTypes = type === undefined ? undefined : [type]
  const isOfRegistry = tag.length > 0 || box !== undefined || by?.startsWith('tag:') === true
  if (!isOfRegistry) return { deviceTypes, groups: (by ?? 'all') as 'all' | 'type' | 'device' }
  const tags = tag.map(parsePair)
  const within = box === undefined ? undefined : parseBox(box)
  const groups = new Map<string, string>()
  let listed = 0
  for await (const device of eachDevice(control, tenant)) {
    if (++listed > LISTED_MAX) throw invalidParameter('tag', `more than ${LISTED_MAX} devices`)
    const hasTags = tags.every(([name, value]) => device.tags[name] === value)
    const isMeant = hasTags && (type === undefined || device.type === type)
    if (isMeant && within?.(device) !== false) groups.set(device.id, groupOf(device, by))
  }
  return { deviceTypes, groups }
}

function groupOf(device: Device, by: string | undefined): string {
  if (by === undefined) return ''
  if (by === 'type') return device.type
  return by === 'device' ? device.id : (device.tags[by.slice('tag:'.length)] ?? '')
}

const PLACE = /^\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*$/

const BOX = /^-?\d+(\.\d+)?(,-?\d+(\.\d+)?){3}$/
const isLongitude = (degrees: number): boolean => Math.abs(degrees) <= 180

function parseBox(text: string): (device: Device) => boolean {
  const [west, south, east, north] = text.split(',').map(Number)
  const isRight = BOX.test(text) && south! <= north! && [west!, east!].every(isLongitude)
  if (!isRight) throw invalidParameter('box', `"${text}" is not west,south,east,north in degrees`)
  return ({ location }) => {
    const [, latitude, longitude] = PLACE.exec(location ?? '') ?? []
    if (latitude === undefined) return false
    const x = Number(longitude)
    // A box may reach over the 180th meridian.
    const isBetween = west! <= east! ? west! <= x && x <= east! : west! <= x || x <= east!
    return isBetween && south! <= Number(latitude) && Number(latitude) <= north!
  }
}

const nameOf = (by: string): string => (by === 'device' ? 'device_id' : by)

/** The name of what is grouped by, and its value; null for devices without it. */
const label = (group: string, by: string | undefined): Record<string, string | null> =>
  by === undefined ? {} : { [nameOf(by)]: group === '' ? null : group }

export function groupsAsJson({ groups, meta }: GroupsAnswer, by: string | undefined) {
  const named = groups.map(({ group, points }) => ({ group: label(group, by), points }))
  return { groups: named, meta }
}

/** Of whatever is the group of devices without it, null. */
export const groupsAsTable = (
  { groups }: GroupsAnswer,
  by: string | undefined,
  format: 'arrow' | 'parquet',
): Promise<NonNullable<Answer['text']>> =>
  pointsAsTable(
    groups.map(({ group, points }) => ({ group: group === '' ? null : group, points })),
    { format, groupName: by === undefined ? undefined : nameOf(by) },
  )

export function groupsAsText(
  { groups }: GroupsAnswer,
  { by, metric, format }: { by: string | undefined; metric: string; format: 'ndjson' | 'csv' },
): NonNullable<Answer['text']> {
  const points = groups.flatMap(({ group, points }) => points.map((point) => ({ group, point })))
  if (format === 'ndjson') {
    return rowsAsLines(
      points.map(({ group, point: [ts, value] }) => ({ group: label(group, by), ts, value })),
    )
  }
  const named = by === undefined ? [] : [nameOf(by)]
  const rows = points.map(({ group, point: [ts, value] }) => [
    timeCell(ts),
    ...(by === undefined ? [] : [group]),
    value ?? '',
  ])
  return rowsAsCsv(['time', ...named, metric], rows)
}
