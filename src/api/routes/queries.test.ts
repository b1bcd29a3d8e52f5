import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
const START = Date.UTC(2026, 0, 1)

before(async () => {
  bench = await startBench()
  const key = await bench.createDevice('pump-1', { type: 'pump' })
  const readings = Array.from({ length: 120 }, (_, index) => ({
    ts: START + index * 1000,
    temperature: 20 + index,
  }))
  await bench.call('POST /v1/telemetry', { key, body: readings })
  const body = `m1,host=pump-1 flow=1 ${START}\nm2,host=pump-1 flow=2 ${START + 1}\nm t=1\n`
  const headers = { 'content-type': 'text/plain' }
  await bench.call('POST /write?precision=ms', { key: bench.admin, headers, body })
  await bench.createDevice('idle')
})
after(() => bench.close())

const get = (path: string) => bench.call(`GET ${path}`, { key: bench.admin })
const query = (parameters: string) => get(`/v1/query?device_id=pump-1&${parameters}`)
const span = `start=${START}&end=${START + 120_000}`

test('readings come oldest first, start included, end excluded', async () => {
  const range = `start=2026-01-01T00:00:10Z&end=2026-01-01T01:00:12%2B01:00`
  const { json } = await query(`metric=temperature&${range}`)
  assert.deepEqual(json.points, [
    [START + 10_000, 30],
    [START + 11_000, 31],
  ])
  assert.deepEqual(json.meta.series, [{ metric: 'temperature', dimensions: {} }])
  assert.equal(json.meta.resolution_ms, 0)
})

test('every aggregate, in steps and over the whole span', async () => {
  const expected = {
    avg: 49.5,
    min: 20,
    max: 79,
    sum: 2970,
    count: 60,
    first: 20,
    last: 79,
    stddev: Math.sqrt(305),
  }
  for (const [agg, value] of Object.entries(expected)) {
    for (const step of ['1m', '60s', '60000']) {
      const { json } = await query(`metric=temperature&${span}&agg=${agg}&step=${step}`)
      assert.equal(json.points.length, 2)
      assert.equal(json.points[0][0], START)
      assert.ok(Math.abs(json.points[0][1] - value) < 1e-9, `${agg} ${json.points[0][1]}`)
    }
  }
  const whole = await query(`metric=temperature&${span}&agg=max`)
  assert.deepEqual(
    whole.json.points.map(([, value]: [number, number]) => value),
    [139],
  )
})

test('max_points and dimension reach the store', async () => {
  assert.equal((await query(`metric=temperature&${span}&max_points=7`)).json.points.length, 7)
  assert.equal((await query(`metric=flow&${span}`)).json.meta.series.length, 2)
  const one = await query(`metric=flow&${span}&dimension=measurement=m2`)
  assert.deepEqual(one.json.points, [[START + 1, 2]])
})

test('a wrong parameter gets a 400 that names it', async () => {
  const good = `metric=temperature&${span}`
  const cases: [string, RegExp][] = [
    ['start=0&end=1', /^metric: is required/],
    [`metric=&${span}`, /^metric: /],
    ['metric=temperature&end=1', /^start: is required/],
    ['metric=temperature&start=0', /^end: is required/],
    ['metric=temperature&start=yesterday&end=1', /^start: "yesterday" is neither/],
    ['metric=temperature&start=0&end=2026-13-01T00:00:00Z', /^end: /],
    ['metric=temperature&start=5&end=4', /^end: lies before start/],
    [`${good}&start=1`, /^start: is given more than once/],
    [`${good}&agg=mean`, /^agg: must be one of avg, min/],
    [`${good}&step=1m`, /^step: needs agg/],
    [`${good}&agg=avg&step=0`, /^step: "0"/],
    [`${good}&agg=avg&step=soon`, /^step: "soon"/],
    [`${good}&max_points=10001`, /^max_points: must be <= 10000/],
    [`${good}&max_points=0`, /^max_points/],
    [`${good}&max_points=many`, /^max_points: must be integer/],
    [`${good}&max_point=1`, /^max_point: .*did you mean "max_points"/],
    [`${good}&constructor=1`, /^constructor: is not a parameter/],
    [`${good}&dimension=x`, /^dimension/],
  ]
  for (const [parameters, expected] of cases) {
    const reply = await query(parameters)
    assert.deepEqual([reply.status, reply.json.code], [400, 'API_PARAMETER_INVALID'], parameters)
    assert.match(reply.json.detail, expected)
  }
  const device = await get(`/v1/query?metric=t&${span}`)
  assert.match(device.json.detail, /^device_id: is required/)
  const none = await get('/v1/devices/idle?limit=1')
  assert.match(none.json.detail, /^limit: this path takes no parameters/)
})

test('an unknown device is a 404, an unknown metric of a strict type too, no readings are none', async () => {
  for (const path of ['query?', 'aggregations?window=1m&']) {
    const ask = (device: string, metric: string) =>
      get(`/v1/${path}device_id=${device}&metric=${metric}&${span}`)
    assert.equal((await ask('nobody', 'temperature')).status, 404)
    const typo = await ask('pump-1', 'temprature')
    assert.deepEqual([typo.status, typo.json.code], [404, 'API_NOT_FOUND'])
    assert.match(typo.json.detail, /did you mean "temperature"/)
    assert.equal((await ask('idle', 'anything')).status, 200)
  }
  for (const path of ['alerts', 'anomalies']) {
    assert.equal((await get(`/v1/${path}?device_id=nobody`)).status, 404)
  }
})

test('windows of the pipeline’s sizes, and no others', async () => {
  const ask = (window: string) =>
    get(`/v1/aggregations?device_id=pump-1&metric=temperature&window=${window}&${span}`)
  const { windows } = (await ask('1m')).json
  assert.deepEqual(
    windows.map(({ window_start: start }: any) => start),
    [START, START + 60_000],
  )
  assert.deepEqual(
    [windows[0].count, windows[0].avg, windows[0].first, windows[0].last],
    [60, 49.5, 20, 79],
  )
  assert.equal((await ask('5m')).json.windows[0].count, 120)
  for (const window of ['2m', '60', 'x']) {
    const reply = await ask(window)
    assert.deepEqual([reply.status, reply.json.code], [400, 'API_PARAMETER_INVALID'])
    assert.match(reply.json.detail, /^window: .* 1m, 5m/)
  }
})

test('anomalies and dead letters, all and of one device, newest first', async () => {
  const key = await bench.createDevice('hot')
  const body = [{ ts: START, temperature: 2000 }, { temperature: null }]
  await bench.call('POST /v1/telemetry', { key, body })
  const { anomalies } = (await get('/v1/anomalies?device_id=hot')).json
  assert.deepEqual(
    anomalies.map((row: any) => [row.metric, row.value]),
    [['temperature', 2000]],
  )
  const [letter] = (await get('/v1/dead-letters')).json.items
  assert.deepEqual([letter.code, letter.payload], ['TELEMETRY_TYPE_MISMATCH', JSON.stringify(body)])
  assert.equal((await get('/v1/dead-letters?device_id=never-registered')).status, 200)
  const none = (await get('/v1/anomalies?device_id=idle')).json
  assert.deepEqual(none, { anomalies: [], meta: { completeness: 1 } })
  for (const path of ['alerts', 'anomalies', 'dead-letters']) {
    const { json } = await get(`/v1/${path}?limit=1001`)
    assert.match(json.detail, /^limit: must be <= 1000/)
  }
})

test('while a restart replays the log, every answer says how much of it is in', async () => {
  bench.pipeline.completenessNow = 0.25
  const span = 'start=0&end=4102444800000'
  const paths = [
    `/v1/query?device_id=pump-1&metric=temperature&${span}`,
    `/v1/aggregations?device_id=pump-1&metric=temperature&window=1m&${span}`,
    ...['/v1/alerts', '/v1/anomalies', '/v1/dead-letters', '/v1/devices/pump-1/latest'],
    '/v1/latest?metric=temperature',
  ]
  for (const path of paths) assert.equal((await get(path)).json.meta.completeness, 0.25, path)
  bench.pipeline.completenessNow = 1
})

test('a process without alerts has no routes of alerts', async () => {
  const plain = await startBench({}, { hasAlerts: false })
  const ask = (target: string) => plain.call(target, { key: plain.admin })
  const targets = ['GET /v1/alerts', 'POST /v1/alerts', 'GET /v1/rules', 'POST /v1/recipients']
  for (const target of targets) assert.equal((await ask(target)).status, 404, target)
  await plain.close()
})

test('steps of the calendar, fills, an earlier span and other formats', async () => {
  const ask = (more: string) => get(`/v1/query?device_id=pump-1&metric=temperature&${span}&${more}`)
  const points = async (more: string) => (await ask(more)).json.points
  assert.equal((await points('agg=count&step=1d&tz=Europe/Berlin')).length, 1)
  assert.equal((await ask('agg=count&step=1mo')).status, 200)
  for (const [more, detail] of [
    ['agg=count&step=1d&tz=Mars/Olympus', /^tz: "Mars\/Olympus" is no time zone/],
    ['agg=count&fill=null', /^fill: needs step/],
    ['agg=count&step=1d&compare=x', /^compare: /],
    ['agg=p42', /^agg: /],
  ] as const) {
    const reply = await ask(more)
    assert.equal(reply.status, 400, more)
    assert.match(reply.json.detail, detail)
  }
  const compared = (await ask('agg=count&step=1m&compare=1d')).json
  assert.deepEqual(compared.compare.points, [])
  const raw = await points('max_points=3')
  const csv = await bench.call(
    `GET /v1/query?device_id=pump-1&metric=temperature&${span}&max_points=3&format=csv`,
    {
      key: bench.admin,
    },
  )
  const [heading, first] = csv.text.split('\r\n')
  assert.equal(heading, 'time,temperature')
  assert.equal(first, `${new Date(raw[0][0]).toISOString()},${raw[0][1]}`)
  const lines = await bench.call(
    `GET /v1/query?device_id=pump-1&metric=temperature&${span}&max_points=3&format=ndjson`,
    { key: bench.admin },
  )
  assert.deepEqual(JSON.parse(lines.text.split('\n')[0]!), { ts: raw[0][0], value: raw[0][1] })
})

test('questions about many devices: by type, device, tag and box, in three formats', async () => {
  const at = START + 3_600_000
  const places: [string, object, number][] = [
    ['north-1', { type: 'fan', tags: { site: 'north' }, location: '59.3, 18.1' }, 10],
    ['north-2', { type: 'fan', tags: { site: 'north' }, location: '60.2,24.9' }, 20],
    ['south-1', { type: 'pump', tags: { site: 'south' }, location: '-33.9,18.4' }, 40],
    ['nowhere', { type: 'pump', location: 'hall 3' }, 80],
  ]
  for (const [id, device, value] of places) {
    const key = await bench.createDevice(id, device)
    await bench.call('POST /v1/telemetry', { key, body: [{ ts: at, load: value }] })
  }
  const ask = (more: string) => get(`/v1/query?metric=load&start=${at}&end=${at + 60_000}&${more}`)
  const groups = async (more: string) =>
    (await ask(more)).json.groups.map((one: any) => [one.group, one.points[0][1]])
  assert.deepEqual(await groups('agg=avg'), [[{}, 37.5]])
  assert.deepEqual(await groups('agg=avg&group_by=type'), [
    [{ type: 'fan' }, 15],
    [{ type: 'pump' }, 60],
  ])
  assert.deepEqual(await groups('agg=max&group_by=device&type=fan'), [
    [{ device_id: 'north-1' }, 10],
    [{ device_id: 'north-2' }, 20],
  ])
  assert.deepEqual(await groups('agg=sum&group_by=tag:site'), [
    [{ 'tag:site': null }, 80],
    [{ 'tag:site': 'north' }, 30],
    [{ 'tag:site': 'south' }, 40],
  ])
  assert.deepEqual(await groups('agg=count&tag=site=north'), [[{}, 2]])
  assert.deepEqual(await groups('agg=sum&box=0,50,30,70'), [[{}, 30]])
  assert.deepEqual(await groups('agg=sum&box=170,-90,20,90'), [[{}, 50]])
  const csv = (await ask('agg=sum&group_by=tag:site&format=csv')).text.split('\r\n')
  assert.deepEqual(csv.slice(0, 3), [
    'time,tag:site,load',
    `${new Date(at).toISOString()},,80`,
    `${new Date(at).toISOString()},north,30`,
  ])
  const lines = (await ask('agg=sum&type=fan&format=ndjson')).text
  assert.deepEqual(JSON.parse(lines), { group: {}, ts: at, value: 30 })
  const cases: [string, RegExp][] = [
    ['', /^device_id: is required, or agg for all devices/],
    ['agg=first', /^agg: first is of one device’s readings/],
    ...['1,2,3', ',,,', '0,1,x,2', '0,1,2,3,4', '500,0,10,90', '0,20,10,10'].map(
      (box): [string, RegExp] => [
        `agg=sum&box=${box}`,
        new RegExp(`^box: "${box}" is not west,south,east,north`),
      ],
    ),
    ['agg=sum&group_by=colour', /^group_by/],
    ['agg=sum&compare=soon', /^compare: /],
    ['device_id=north-1&type=fan', /^type: is for questions without device_id/],
  ]
  for (const [more, detail] of cases) {
    const reply = await ask(more)
    assert.deepEqual([reply.status, reply.json.code], [400, 'API_PARAMETER_INVALID'], more)
    assert.match(reply.json.detail, detail)
  }
})

test('windows leave as lines and as CSV, too', async () => {
  const path = `/v1/aggregations?device_id=pump-1&metric=temperature&window=1m&${span}`
  const { windows } = (await get(path)).json
  assert.equal(windows.length, 2)
  const lines = await get(`${path}&format=ndjson`)
  assert.deepEqual(
    lines.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    windows,
  )
  const csv = await get(`${path}&format=csv`)
  const [names, first, ...others] = csv.text.trimEnd().split('\r\n')
  assert.equal(names, 'window_start,count,sum,avg,min,max,stddev,first,last')
  const { stddev } = windows[0]
  assert.equal(first, `2026-01-01T00:00:00.000Z,60,2970,49.5,20,79,${stddev},20,79`)
  assert.equal(others.length, 1)
})
