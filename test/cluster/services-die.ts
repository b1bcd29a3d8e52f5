/** A service that everything stands on dies under load, and comes back. */
import { Installation, type Owner } from './cluster-process.ts'
import { restartService } from './cluster.ts'
import { NumberedLoad, PIPELINE, type LoadOptions, type LoadTotals } from './numbered-load.ts'

type Load = Pick<LoadOptions, 'devices' | 'everyMs'>

/** Messages that are acknowledged before, meanwhile and behind. */
const MESSAGES = 200
/** Devices that are known go on: Kafka takes what they say. */
const AWAY = { messages: 500, timeoutMs: 10_000 }

async function begin(t: Owner, load: Load): Promise<{ at: Installation; sending: NumberedLoad }> {
  const at = await Installation.open(t, { pipeline: PIPELINE })
  const weir = await at.start('all')
  const sending = await NumberedLoad.begin(t, at, weir, { ...load, ports: () => [weir.mqtt] })
  await sending.goOn(MESSAGES)
  return { at, sending }
}

/** Throws when devices do not go on meanwhile, or when anything acknowledged is lost. */
export async function postgresDies(t: Owner, load: Load): Promise<LoadTotals> {
  const { at, sending } = await begin(t, load)
  await at.killService('postgres')
  await sending.goOn(AWAY.messages, AWAY.timeoutMs)
  await restartService('postgres')
  await sending.goOn(MESSAGES)
  return sending.finish()
}

/** Each in turn; the others go on. Throws when anything acknowledged is lost. */
export async function eachBrokerDies(t: Owner, load: Load, brokers: number): Promise<LoadTotals> {
  const { at, sending } = await begin(t, load)
  // The first of them may be the controller, and goes last.
  for (let turn = 1; turn <= brokers; turn++) {
    await at.killService('kafka', turn % brokers)
    await sending.goOn(MESSAGES)
    await restartService('kafka')
    await sending.goOn(MESSAGES / 2)
  }
  return sending.finish()
}
