/** `kill -9` of one process of a cluster under load, again and again, each time somewhere else. */
import { setTimeout as delay } from 'node:timers/promises'
import { Installation, type Owner } from './cluster-process.ts'
import { killService, restartService } from './cluster.ts'
import { TASK_MANAGER } from './flink-fixture.ts'
import { NumberedLoad, PIPELINE, type LoadTotals } from './numbered-load.ts'

/** The longest life after it is ready; every third dies on its way there. */
const LIFE_MS_MAX = 2500
const START_MS_MAX = 2500
const DIES_EARLY = 3

/** The role stream only keeps the job: with it dies what does the work. */
export const VICTIMS = ['writer', 'stream', 'all'] as const
export type Victim = (typeof VICTIMS)[number]

export interface KillTotals extends LoadTotals {
  kills: number
}

export async function killAgainAndAgain(
  t: Owner,
  {
    victim,
    kills,
    load,
    say,
  }: {
    victim: Victim
    kills: number
    load: { devices: number; everyMs: number }
    say?: (line: string) => void
  },
): Promise<KillTotals> {
  const at = await Installation.open(t, { pipeline: PIPELINE })
  const roles = ['gateway', 'stream', 'writer', 'control'].filter((role) => role !== victim)
  let weir = await at.start(victim)
  const others = victim === 'all' ? weir : await at.start(roles.join(','), 'others')
  const ports = (): number[] => [victim === 'all' ? weir.mqtt : others.mqtt]
  const sending = await NumberedLoad.begin(t, at, others, { ...load, ports })
  for (let kill = 0; kill < kills; kill++) {
    await delay(Math.random() * LIFE_MS_MAX)
    await at.kill(victim)
    if (victim === 'stream') {
      await killService('flink', TASK_MANAGER)
      await restartService('flink')
    }
    if (kill % DIES_EARLY === 1) {
      const early = await at.spawn(victim)
      await delay(Math.random() * START_MS_MAX)
      await early.signal('SIGKILL')
    }
    weir = await at.start(victim)
    say?.(`${victim} killed ${kill + 1} times, ${sending.acknowledged} acknowledged`)
  }
  await sending.goOn()
  return { kills, ...(await sending.finish()) }
}
