/** `kill -9` of one process of a cluster under load, again and again, each time somewhere else. */
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Installation } from './cluster-process.ts'
import { NumberedLoad, PIPELINE, type LoadTotals } from './numbered-load.ts'

/** The longest life after it is ready; every third dies on its way there. */
const LIFE_MS_MAX = 2500
const START_MS_MAX = 2500
const DIES_EARLY = 3

/** So that a checkpoint of the stream is always under way. */
const MORE = 'stream: { checkpointReadings: 100, checkpointInterval: 300ms }'

export interface KillTotals extends LoadTotals {
  kills: number
}

export async function killAgainAndAgain(
  t: TestContext,
  {
    victim,
    kills,
    load,
  }: {
    victim: 'writer' | 'stream' | 'all'
    kills: number
    load: { devices: number; everyMs: number }
  },
): Promise<KillTotals> {
  const at = await Installation.open(t, { pipeline: PIPELINE, more: MORE })
  const roles = ['gateway', 'stream', 'writer', 'control'].filter((role) => role !== victim)
  let weir = await at.start(victim)
  const others = victim === 'all' ? weir : await at.start(roles.join(','), 'others')
  const ports = (): number[] => [victim === 'all' ? weir.mqtt : others.mqtt]
  const sending = await NumberedLoad.begin(t, at, others, { ...load, ports })
  for (let kill = 0; kill < kills; kill++) {
    await delay(Math.random() * LIFE_MS_MAX)
    await at.kill(victim)
    if (kill % DIES_EARLY === 1) {
      const early = await at.spawn(victim)
      await delay(Math.random() * START_MS_MAX)
      await early.signal('SIGKILL')
    }
    weir = await at.start(victim)
  }
  await sending.goOn()
  return { kills, ...(await sending.finish()) }
}
