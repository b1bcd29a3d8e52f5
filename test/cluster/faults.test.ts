/**
 * Acknowledged = stored once, on a cluster of real processes, while parts of it are killed.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Installation, skip, skipWithoutRedis } from './cluster-process.ts'
import { restartService } from './cluster.ts'
import { NumberedLoad, PIPELINE } from './numbered-load.ts'

const TIMEOUT_MS = 240_000
const load = { devices: 8, everyMs: 50 }

async function begin(t: TestContext) {
  const at = await Installation.open(t, { pipeline: PIPELINE })
  const weir = await at.start('all')
  const sending = await NumberedLoad.begin(t, at, weir, { ...load, ports: () => [weir.mqtt] })
  return { at, weir, sending }
}

test('without faults all is there', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const { sending } = await begin(t)
  await sending.goOn(500)
  t.diagnostic(JSON.stringify(await sending.finish()))
})

test('PostgreSQL dies and comes back', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const { at, sending } = await begin(t)
  await sending.goOn(200)
  await at.killService('postgres')
  // Devices that are known go on: Kafka takes what they say.
  await sending.goOn(500, 10_000)
  await restartService('postgres')
  await sending.goOn(200)
  t.diagnostic(JSON.stringify(await sending.finish()))
})
void assert
void delay
void skipWithoutRedis
