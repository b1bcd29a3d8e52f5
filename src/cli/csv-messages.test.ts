import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CsvMessages, type CsvMapping } from './csv-messages.ts'
import type { ReplayItem } from './replay-item.ts'

const MAPPING: CsvMapping = {
  ...{ time: ['ts'], zone: 'UTC', device: 'device', metrics: undefined, skip: [] },
  separator: ',',
}

function read(text: string, mapping: Partial<CsvMapping> = {}): ReplayItem[] {
  const messages = new CsvMessages({ ...MAPPING, ...mapping })
  return [...messages.push(text), ...messages.end()]
}

const bodies = (items: ReplayItem[]): unknown[] =>
  items.map((item) => (item.kind === 'message' ? JSON.parse(item.text) : item.code))

test('numbers, booleans and text are told apart by column; what is absent is left out', () => {
  const items = read(
    'ts,device,t,on,wd,code\n' +
      '1714564800,a,1.5,TRUE,NNW,7\n' +
      '1714564860,a,NA,false,,x\n' +
      '1714564920,b,-2e1,NaN,"E",\n',
  )
  assert.deepEqual(bodies(items), [
    { device: 'a', ts: 1714564800000, metrics: { t: 1.5, on: true, wd: 'NNW', code: '7' } },
    { device: 'a', ts: 1714564860000, metrics: { on: false, code: 'x' } },
    { device: 'b', ts: 1714564920000, metrics: { t: -20, wd: 'E' } },
  ])
  assert.deepEqual(
    items.map((item) => item.kind === 'message' && item.readings),
    [4, 2, 2],
  )
})

test('an hourly station file: parts of the time, a counter left out, a device column', () => {
  const text =
    '"No","year","month","day","hour","PM2.5","wd","station"\n1,2013,3,1,0,4,"NNW","Aotizhongxin"\n'
  const time = ['year', 'month', 'day', 'hour']
  const items = read(text, { time, zone: 'Asia/Shanghai', device: 'station', skip: ['No'] })
  const ts = Date.parse('2013-02-28T16:00:00Z')
  const metrics = { 'PM2.5': 4, wd: 'NNW' }
  assert.deepEqual(bodies(items), [{ device: 'Aotizhongxin', ts, metrics }])
})

test('one device for the whole file, and chosen metrics only', () => {
  const items = read('ts,a,b\n1714564800,1,2\n', { device: 'pump-01', metrics: ['b'] })
  assert.deepEqual(bodies(items), [{ device: 'pump-01', ts: 1714564800000, metrics: { b: 2 } }])
})

test('a line that cannot become a message is named with its number and reason', () => {
  const items = read('ts,device,t\nnever,a,1\n1714564800,a,NA\n1714564800,a,1\n')
  assert.deepEqual(
    items.map((item) => [item.line, item.kind === 'refusal' ? item.code : 'fine']),
    [
      [2, 'TIME_FORMAT_INVALID'],
      [3, 'TELEMETRY_METRICS_EMPTY'],
      [4, 'fine'],
    ],
  )
})

test('a column that turns out otherwise after the sample is sent as it is, for the server to refuse', () => {
  const rows = Array.from(
    { length: 1500 },
    (_, i) => `${1714564800 + i},a,${i < 1200 ? i : 'broken'}`,
  )
  const items = read(`ts,device,t\n${rows.join('\n')}\n`)
  const last = bodies(items).at(-1) as { metrics: { t: unknown } }
  assert.equal(items.length, 1500)
  assert.equal(last.metrics.t, 'broken')
})

test('a column asked for that does not exist is the user’s mistake', () => {
  const usage = { code: 'CLI_USAGE_INVALID' }
  assert.throws(() => read('ts,device,t\n1,a,1\n', { metrics: ['x'] }), usage)
  assert.throws(() => read('ts,device,t\n1,a,1\n', { skip: ['x'] }), usage)
  assert.throws(() => read('ts,device\n1,a\n'), usage)
})
