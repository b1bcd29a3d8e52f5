/** Questions over HTTP that are timed, quiet and beside a load. */
import { prepareGenerator } from './generate.ts'
import type { Histogram } from './histogram.ts'
import type { LoadClient } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import type { Reporter } from './report.ts'
import type { WeirServer } from './weir-server.ts'

/** The answer's body; the time ends with its last byte. Errors: any other status than 200. */
export async function ask(server: WeirServer, path: string, into: Histogram): Promise<string> {
  const askedMs = performance.now()
  const { status, body } = await server.call('GET', path)
  into.add(performance.now() - askedMs, 1)
  if (status !== 200) throw new Error(`${path} answered ${status}: ${body.slice(0, 500)}`)
  return body
}

export function addPercentiles(
  reporter: Reporter,
  name: string,
  histogram: Histogram,
  percents: readonly number[] = [50, 95, 99],
): void {
  for (const percent of percents)
    reporter.add(`${name}, p${percent}`, histogram.percentile(percent / 100), 'ms')
}

export interface Load {
  clients: LoadClient[]
  /** Readings a second, of three metrics a message. */
  rate: number
  seconds: number
}

/** Asks again and again while the load comes in. */
export async function askBeside(
  { reporter, server, load }: { reporter: Reporter; server: WeirServer; load: Load },
  askOnce: () => Promise<unknown>,
  askers = 1,
): Promise<void> {
  const { clients, seconds } = load
  const generation = await prepareGenerator({
    ...{ protocol: 'mqtt', port: server.mqttPort, clients, window: 200, seed: 1 },
    ...{ messagesPerPacket: 1, warmUpMs: 0, seconds, rate: load.rate / METRICS_PER_MESSAGE },
  })
  generation.start()
  const untilMs = performance.now() + seconds * 1000
  const work = async (): Promise<void> => {
    while (performance.now() < untilMs) await askOnce()
  }
  await Promise.all(Array.from({ length: askers }, work))
  const { rate, latencyMs } = await generation.report
  reporter.add('ingest meanwhile', rate * METRICS_PER_MESSAGE, 'readings/s')
  reporter.add('publish to PUBACK meanwhile, p99', latencyMs.p99, 'ms')
}
