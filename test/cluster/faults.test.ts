/**
 * Acknowledged = stored once, on a cluster of real processes, while parts of it are killed. Each
 * test says in its diagnostic line what it saw. WEIR_FAULT_KILLS and WEIR_FAULT_OUTAGE_MS make
 * them as long as you like; `npm run cluster:faults` does it for longer.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { until, type WeirProcess } from '../system/weir-process.ts'
import { Installation, skip, skipWithoutRedis } from './cluster-process.ts'
import { accessOf, restartService } from './cluster.ts'
import { CONNECTIONS, gatewayDies, SERVED_MS_MAX } from './gateway-dies.ts'
import { kafkaAway } from './kafka-away.ts'
import { killAgainAndAgain, VICTIMS } from './killing.ts'
import { METRIC } from './numbered-device.ts'
import { NumberedLoad, PIPELINE } from './numbered-load.ts'
import { eachBrokerDies, postgresDies } from './services-die.ts'

const KILLS = Number(process.env['WEIR_FAULT_KILLS'] ?? 2)
/** How long Kafka is away at least. Beyond 30 s its clients have given up, and begin anew. */
const OUTAGE_MS = Number(process.env['WEIR_FAULT_OUTAGE_MS'] ?? 3000)
const TIMEOUT_MS = 180_000 + KILLS * 15_000 + OUTAGE_MS
const LOAD = { devices: 8, everyMs: 50 }
const brokers = (accessOf('kafka')?.['brokers'] ?? '').split(',').length
const needsThree =
  skip ?? (brokers < 3 ? 'needs npm run -s cluster:up -- kafka --brokers 3' : undefined)

async function begin(t: TestContext) {
  const at = await Installation.open(t, { pipeline: PIPELINE })
  const weir = await at.start('all')
  const sending = await NumberedLoad.begin(t, at, weir, { ...LOAD, ports: () => [weir.mqtt] })
  return { at, weir, sending }
}

async function finish(t: TestContext, sending: NumberedLoad): Promise<void> {
  t.diagnostic(JSON.stringify(await sending.finish()))
}

const valueOf = async (weir: WeirProcess, device: string): Promise<number> =>
  (await weir.points(device, METRIC, { agg: 'count', step: '1d' })).reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )

test('without faults all is there', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const { sending, weir } = await begin(t)
  await sending.goOn(200)
  await finish(t, sending)
  const [device] = sending.devices
  assert.equal(await valueOf(weir, device!.id), device!.acknowledged)
})

test('PostgreSQL dies and comes back', { skip, timeout: TIMEOUT_MS }, async (t) => {
  t.diagnostic(JSON.stringify(await postgresDies(t, LOAD)))
})

test(
  'Kafka dies and comes back: nothing is acknowledged meanwhile, and nothing lost',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const totals = await kafkaAway(t, { outageMs: OUTAGE_MS, load: LOAD })
    t.diagnostic(JSON.stringify(totals))
  },
)

test(
  'each broker of three dies and comes back',
  { skip: needsThree, timeout: TIMEOUT_MS },
  async (t) => {
    t.diagnostic(JSON.stringify(await eachBrokerDies(t, LOAD, brokers)))
  },
)

test(
  'Redis dies: queries go on and are right; it comes back',
  { skip: skipWithoutRedis, timeout: TIMEOUT_MS },
  async (t) => {
    const { at, weir, sending } = await begin(t)
    const [device] = sending.devices
    await until('a first answer', async () => (await valueOf(weir, device!.id)) > 0)
    await at.killService('redis')
    await sending.goOn(200, 10_000)
    const before = device!.acknowledged
    await delay(1500)
    const startMs = performance.now()
    assert.ok((await valueOf(weir, device!.id)) >= before)
    t.diagnostic(`a query without Redis took ${Math.round(performance.now() - startMs)} ms`)
    await restartService('redis')
    await sending.goOn(100)
    await finish(t, sending)
    await delay(1500)
    assert.equal(await valueOf(weir, device!.id), device!.acknowledged)
  },
)

for (const victim of VICTIMS) {
  test(
    `${victim} killed ${KILLS} times at random moments`,
    { skip, timeout: TIMEOUT_MS },
    async (t) => {
      const totals = await killAgainAndAgain(t, { victim, kills: KILLS, load: LOAD })
      t.diagnostic(JSON.stringify(totals))
    },
  )
}

test(
  'a gateway with 2,000 connections dies; another serves all within 10 s',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const { servedMs, ...totals } = await gatewayDies(t, { connections: CONNECTIONS })
    t.diagnostic(JSON.stringify({ servedMs, ...totals }))
    assert.ok(servedMs < SERVED_MS_MAX, `${servedMs} ms`)
  },
)
