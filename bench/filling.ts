/** Fills a store with a history that devices kept, and waits until it is in merged segments. */
import { sendDay, type DayJob } from './day.ts'
import type { Reporter } from './report.ts'
import type { WeirServer } from './weir-server.ts'

const WAIT_MS_MAX = 300_000

/** Errors: not every reading that was acknowledged is stored, once. */
export async function fillStore(
  reporter: Reporter,
  server: WeirServer,
  job: Omit<DayJob, 'port'>,
): Promise<void> {
  const beganMs = performance.now()
  const sent = job.readings * job.clients.reduce((sum, { devices }) => sum + devices.length, 0)
  await sendDay({ ...job, port: server.mqttPort })
  const stored = await server.untilStored(sent, WAIT_MS_MAX)
  if (stored !== sent) throw new Error(`${sent} readings were acknowledged, ${stored} stored`)
  reporter.add('filling the store', (sent / (performance.now() - beganMs)) * 1000, 'readings/s')
  reporter.add('readings', sent, 'readings')
  await server.untilInSegments(WAIT_MS_MAX)
  await server.untilMerged(WAIT_MS_MAX)
}
