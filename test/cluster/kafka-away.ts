/** All of Kafka is killed under load, and comes back. */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { Installation, type Owner } from './cluster-process.ts'
import { restartService } from './cluster.ts'
import { NumberedLoad, PIPELINE, type LoadTotals } from './numbered-load.ts'

export interface AwayTotals extends LoadTotals {
  awayMs: number
  /** From Kafka's own answer to the first PUBACK. */
  resumedMs: number
}

/** Throws when anything is acknowledged meanwhile, or lost. */
export async function kafkaAway(
  t: Owner,
  { outageMs, load }: { outageMs: number; load: { devices: number; everyMs: number } },
): Promise<AwayTotals> {
  const at = await Installation.open(t, { pipeline: PIPELINE })
  const weir = await at.start('all')
  const sending = await NumberedLoad.begin(t, at, weir, { ...load, ports: () => [weir.mqtt] })
  await sending.goOn(200)
  const killedMs = performance.now()
  await at.killService('kafka')
  // What was on its way to the devices has arrived then.
  await delay(500)
  const { acknowledged } = sending
  await delay(outageMs)
  assert.equal(sending.acknowledged, acknowledged)
  await restartService('kafka')
  const healedMs = performance.now()
  await sending.goOn(1)
  const resumedMs = Math.round(performance.now() - healedMs)
  await sending.goOn(300)
  return { awayMs: Math.round(healedMs - killedMs), resumedMs, ...(await sending.finish()) }
}
