/** Asks and writes while a restarted server still replays its log, and counts what is stored. */
import type { WeirServer } from './weir-server.ts'

const COMPLETE_MS_MAX = 120_000
const ASK_INTERVAL_MS = 20
/** Queries under way at once. */
const PARALLEL = 16
const ALL_TIMES = 'start=0&end=4102444800000'

interface Device {
  id: string
  token: string
}

export interface Waited {
  /** By performance.now(). */
  completeMs: number
  /** Of each write. */
  writeMs: number[]
  written: number
}

interface Answer {
  points: [number, number][]
  meta: { completeness: number }
}

async function ask(server: WeirServer, parameters: string): Promise<Answer> {
  const { status, body } = await server.call('GET', `/v1/query?${ALL_TIMES}&${parameters}`)
  if (status !== 200) throw new Error(`/v1/query answered ${status}: ${body}`)
  return JSON.parse(body) as Answer
}

/** Writes one reading after the other until an answer says that nothing is missing. */
export async function writeUntilComplete(server: WeirServer, device: Device): Promise<Waited> {
  const startMs = performance.now()
  const writeMs: number[] = []
  for (;;) {
    const sentMs = performance.now()
    const { status, body } = await server.call('POST', `/v1/devices/${device.id}/telemetry`, {
      ...{ ts: Date.now(), metrics: { value: writeMs.length } },
    })
    if (status !== 200) throw new Error(`a write was answered with ${status}: ${body}`)
    writeMs.push(performance.now() - sentMs)
    const { meta } = await ask(server, `device_id=${device.id}&metric=value&agg=count`)
    const completeMs = performance.now()
    if (meta.completeness === 1) return { completeMs, writeMs, written: writeMs.length }
    if (completeMs - startMs > COMPLETE_MS_MAX) throw new Error('queries never became complete')
    await new Promise((resolve) => setTimeout(resolve, ASK_INTERVAL_MS))
  }
}

/** Stored messages of each device, by a query for each. */
export async function countMessages(
  server: WeirServer,
  devices: readonly { id: string }[],
  metricOf: (id: string) => string,
): Promise<number[]> {
  const counts: number[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let i = next++; i < devices.length; i = next++) {
      const { id = '' } = devices[i] ?? {}
      const { points } = await ask(server, `device_id=${id}&metric=${metricOf(id)}&agg=count`)
      counts[i] = points[0]?.[1] ?? 0
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
  return counts
}
