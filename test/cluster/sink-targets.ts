/** What the sink's tests read back from each database, and what each does not take. */
import assert from 'node:assert/strict'
import type { SinkKind } from '../../src/line-sink/line-sink.ts'
import { toIdentifier } from '../../src/line-sink/line-text.ts'
import type { Access } from './recipe.ts'

const AMBIGUOUS = /\\(?:[ ,=]|$)/

export interface Reading {
  tenant: string
  device: string
  metric: string
  room: string
  timeUs: number
  value: number | boolean | string
}

export interface Target {
  kind: SinkKind
  service: string
  /** Of one device type; in any order. */
  read(access: Access, type: string): Promise<Reading[]>
  refuses(reading: Reading): boolean
  hasTexts: boolean
  /** Acknowledged means on disk. */
  isDurable: boolean
}

const authorization = ({ username = '', password = '' }: Access) => ({
  authorization: `Basic ${btoa(`${username}:${password}`)}`,
})

export async function ask(access: Access, path: string, parameters: Record<string, string>) {
  const url = `${access['url']}${path}?${new URLSearchParams(parameters).toString()}`
  const answer = await fetch(url, { headers: authorization(access) })
  assert.equal(answer.status, 200, await answer.clone().text())
  return answer
}

/** A row is an object of the columns' names. */
const toRows = (columns: readonly string[], rows: readonly unknown[][]) =>
  rows.map((row) => Object.fromEntries(columns.map((column, at) => [column, row[at]])))

export async function readInflux(access: Access, type: string): Promise<Reading[]> {
  const name = type.replaceAll(/["\\]/g, '\\$&')
  const q = `SELECT * FROM "${name}" GROUP BY tenant, device_id, room`
  const answer = await ask(access, '/query', { q, db: access['database']!, epoch: 'u' })
  const { results } = (await answer.json()) as {
    results: {
      series?: { tags: Record<string, string>; columns: string[]; values: unknown[][] }[]
    }[]
  }
  return (results[0]?.series ?? []).flatMap(({ tags, columns, values }) =>
    toRows(columns, values).flatMap(({ time, ...fields }) =>
      Object.entries(fields)
        .filter(([, value]) => value !== null)
        .map(([metric, value]) => ({
          ...{ tenant: tags['tenant']!, device: tags['device_id']!, room: tags['room']! },
          ...{ metric, timeUs: time as number, value: value as Reading['value'] },
        })),
    ),
  )
}

export async function readQuestdb(access: Access, type: string): Promise<Reading[]> {
  const query = `SELECT *, timestamp::long us FROM "${toIdentifier(type)}"`
  const answer = await ask(access, '/exec', { query })
  const { columns, dataset } = (await answer.json()) as {
    columns: { name: string }[]
    dataset: unknown[][]
  }
  const names = columns.map(({ name }) => name)
  return toRows(names, dataset).map((row) => ({
    ...{ tenant: row['tenant'] as string, device: row['device_id'] as string },
    ...{ metric: row['metric'] as string, room: (row['room'] as string | null) ?? '' },
    timeUs: Number(row['us']),
    value: (row['text_value'] ??
      (row['kind'] === 'boolean' ? row['value'] === 1 : row['value'])) as Reading['value'],
  }))
}

async function readVictoria(access: Access, type: string): Promise<Reading[]> {
  await ask(access, '/internal/force_flush', {})
  const everything = { 'match[]': '{tenant!=""}' }
  const text = await (await ask(access, '/api/v1/export', everything)).text()
  return text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const { metric, values, timestamps } = JSON.parse(line) as {
        metric: Record<string, string>
        values: number[]
        timestamps: number[]
      }
      const name = metric['__name__']!
      if (!name.startsWith(`${type}_`)) return []
      return values.map((value, at) => ({
        ...{ tenant: metric['tenant']!, device: metric['device_id']!, room: metric['room'] ?? '' },
        ...{ metric: name.slice(type.length + 1), timeUs: timestamps[at]! * 1000, value },
      }))
    })
}

export const TARGETS: readonly Target[] = [
  {
    ...{ kind: 'influxdb1', service: 'influxdb', hasTexts: true, isDurable: true },
    read: readInflux,
    refuses: ({ tenant, device, metric, room }) =>
      [tenant, device, metric, room].some((name) => AMBIGUOUS.test(name)),
  },
  {
    ...{ kind: 'questdb', service: 'questdb', hasTexts: true, isDurable: true },
    read: readQuestdb,
    refuses: () => false,
  },
  {
    ...{ kind: 'victoriametrics', service: 'victoriametrics', hasTexts: false, isDurable: false },
    read: readVictoria,
    refuses: ({ metric }) => metric.includes('"'),
  },
]
