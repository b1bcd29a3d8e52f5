/** Fills a store with a history that devices kept, and waits until it is in merged segments. */
import { sendDay, type DayJob } from './day.ts'
import type { Reporter } from './report.ts'
import type { WeirServer } from './weir-server.ts'

const WAIT_MS_MAX = 300_000
const SUMMED_UP_MS_MAX = 900_000
const HOUR_MS = 3_600_000

/** Errors: not every reading that was acknowledged is stored, once. */
export async function fillStore(
  reporter: Reporter,
  server: WeirServer,
  job: Omit<DayJob, 'port'>,
): Promise<void> {
  const beganMs = performance.now()
  const sent = job.readings * job.clients.reduce((sum, { devices }) => sum + devices.length, 0)
  const before = (await server.metrics()).get('weir_storage_readings_total') ?? 0
  await sendDay({ ...job, port: server.mqttPort })
  const stored = (await server.untilStored(before + sent, WAIT_MS_MAX)) - before
  if (stored !== sent) throw new Error(`${sent} readings were acknowledged, ${stored} stored`)
  reporter.add('filling the store', (sent / (performance.now() - beganMs)) * 1000, 'readings/s')
  reporter.add('readings', sent, 'readings')
  await server.untilInSegments(WAIT_MS_MAX)
  await server.untilMerged(WAIT_MS_MAX)
}

/** Waits until the hours of a history that ends then are summed up. */
export async function untilSummedUp(
  reporter: Reporter,
  server: WeirServer,
  endMs: number,
): Promise<void> {
  const beganMs = performance.now()
  // What is not over yet are the last hour, and the lateness that is allowed.
  const untilMs = Math.floor(endMs / HOUR_MS) * HOUR_MS - 2 * HOUR_MS
  for (;;) {
    const summedUp = (await server.metrics()).get('weir_storage_summed_up_timestamp_seconds') ?? 0
    if (summedUp * 1000 >= untilMs) break
    if (performance.now() - beganMs > SUMMED_UP_MS_MAX) throw new Error(`up to ${summedUp} only`)
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  reporter.add('until it is summed up', (performance.now() - beganMs) / 1000, 's')
}
