/** Processes of a test or benchmark whose stream stage is a job of Flink. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { flinkAccess } from '../../src/cluster/flink-spec.ts'
import { loadConfig } from '../../src/config/config.ts'
import { FlinkJobs } from '../../src/flink/flink.ts'
import type { Owner } from './cluster-process.ts'
import { accessOf } from './cluster.ts'
import { buildJar } from './flink-fixture.ts'
import { brokers } from './kafka-fixture.ts'

/** Once for all that this process tests. */
let built: string | undefined
let sections = 0

/** In a folder of its own: Flink keeps a jar open, and the next build writes over it. */
export function ownJar(): string {
  const jar = join(mkdtempSync(join(tmpdir(), 'weir-flink-')), 'weir-flink.jar')
  copyFileSync((built ??= buildJar()), jar)
  return jar
}

/** The section `flink` of a configuration. */
export function flinkSettings(name: string, jar: string) {
  const { gateway, rest, checkpoints } = accessOf('flink')!
  return {
    ...{ gatewayUrl: gateway, restUrl: rest, jar: `file://${jar}`, name, parallelism: 2 },
    checkpoints: `file://${checkpoints}`,
  }
}

/** The job of this section, if it runs. */
export async function cancelJob(settings: ReturnType<typeof flinkSettings>): Promise<void> {
  const own = Object.entries(settings).map(([key, value]) => [`flink.${key}`, value] as const)
  const flags = { 'kafka.brokers': brokers.join(','), ...Object.fromEntries(own) }
  const jobs = new FlinkJobs(flinkAccess(loadConfig({ flags })))
  await jobs.cancel(settings.name).catch(() => undefined)
}

/**
 * Their section of the configuration, as YAML: the role `flink` starts a job of its own name, and
 * when the test has ended it is gone.
 */
export function flinkSection(t: Owner): string {
  const jar = ownJar()
  const settings = flinkSettings(`weir-role-${process.pid}-${++sections}`, jar)
  t.after(async () => {
    await cancelJob(settings)
    rmSync(dirname(jar), { recursive: true })
  })
  return `flink: ${JSON.stringify({ ...settings, checkpointInterval: '500ms' })}`
}
