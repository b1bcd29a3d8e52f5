/** The readings around a breach, for channels that draw. */
import type { ChartReadings, Notification } from '../notify/notify.ts'
import type { Clock } from '../world/world.ts'

export type AskReadings = (
  tenant: string,
  deviceId: string,
  metric: string,
  fromUs: number,
  toUs: number,
) => Promise<ChartReadings | undefined>

/** No message waits longer for its chart; it goes without one. */
const WAIT_MS = 1000
/** Before the first breach; as much again of what was breached is most of the picture. */
const BEFORE_US = 1_800_000_000
/** More would make rows of a message large; the answer is to be thinned where it is made. */
const READINGS_MAX = 5000

export async function withChart(
  notification: Notification,
  { tenant, readings, clock }: { tenant: string; readings: AskReadings; clock: Clock },
): Promise<Notification> {
  const { alert, createdAtUs, digest } = notification
  if (alert.metric === undefined || digest !== undefined) return notification
  let cancel = (): void => undefined
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.after(WAIT_MS, () => resolve(undefined))
  })
  const { deviceId, metric, sinceUs } = alert
  const asked = readings(tenant, deviceId, metric, sinceUs - BEFORE_US, createdAtUs)
  // A picture is no reason to tell nobody.
  const chart = await Promise.race([asked.catch(() => undefined), late])
  cancel()
  const isUsable = chart !== undefined && chart.timesUs.length <= READINGS_MAX
  return isUsable ? { ...notification, chart } : notification
}
