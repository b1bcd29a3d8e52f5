/** Jobs of a benchmark on the Flink that `npm run cluster:up -- flink` started. */
import { copyFileSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { flinkAccess } from '../src/cluster/flink-spec.ts'
import { loadConfig } from '../src/config/config.ts'
import { FlinkJobs } from '../src/flink/flink.ts'
import { accessOf } from '../test/cluster/cluster.ts'
import { buildJar } from '../test/cluster/flink-fixture.ts'

const PARALLELISM = 2

/** Flink keeps a jar open, and the next build writes over it. */
export function ownJar(): string {
  const jar = join(mkdtempSync(join(tmpdir(), 'weir-bench-flink-')), 'weir-flink.jar')
  copyFileSync(buildJar(), jar)
  return jar
}

/** The section `flink` of a configuration. */
export function flinkSettings(name: string, jar: string): Record<string, string | number> {
  const { gateway, rest, checkpoints } = accessOf('flink')!
  return {
    ...{ gatewayUrl: gateway!, restUrl: rest!, jar: `file://${jar}`, name },
    ...{ checkpoints: `file://${checkpoints}`, parallelism: PARALLELISM },
  }
}

/** The job of this name, if one runs. */
export async function cancelJob(name: string, jar: string): Promise<void> {
  const settings = Object.entries(flinkSettings(name, jar))
  const own = settings.map(([key, value]) => [`flink.${key}`, value] as const)
  const flags = { 'kafka.brokers': accessOf('kafka')!['brokers'], ...Object.fromEntries(own) }
  const jobs = new FlinkJobs(flinkAccess(loadConfig({ flags })))
  await jobs.cancel(name).catch(() => undefined)
}
