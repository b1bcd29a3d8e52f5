/** Processes of a test or benchmark whose stream stage is a job of Flink. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { flinkAccess } from '../../src/cluster/flink-spec.ts'
import { loadConfig } from '../../src/config/config.ts'
import { FlinkJobs } from '../../src/flink/flink.ts'
import { accessOf } from './cluster.ts'
import { buildJar } from './flink-fixture.ts'
import { brokers } from './kafka-fixture.ts'

let folder: string | undefined

/** One for all jobs of this process: Flink keeps a jar open, and the next build writes over it. */
function ownJar(): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'weir-flink-'))
    process.once('exit', () => rmSync(made, { recursive: true, force: true }))
    copyFileSync(buildJar(), join(made, 'weir-flink.jar'))
    folder = made
  }
  return join(folder, 'weir-flink.jar')
}

/** The section `flink` of a configuration: both cores, checkpoints as often as usual. */
export function flinkSettings(name: string) {
  const { gateway, rest, checkpoints } = accessOf('flink')!
  return {
    ...{ gatewayUrl: gateway, restUrl: rest, jar: `file://${ownJar()}`, name, parallelism: 2 },
    checkpoints: `file://${checkpoints}`,
  }
}

/** The same for a test, which waits for what a job says; empty where Flink does not run. */
export function flinkSection(name: string): Record<string, unknown> {
  if (accessOf('flink') === undefined) return {}
  return { ...flinkSettings(name), parallelism: 1, checkpointInterval: '500ms' }
}

/** The job of this name, if one runs. */
export async function cancelJob(name: string): Promise<void> {
  if (accessOf('flink') === undefined) return
  const own = Object.entries(flinkSettings(name)).map(
    ([key, value]) => [`flink.${key}`, value] as const,
  )
  const flags = { 'kafka.brokers': brokers.join(','), ...Object.fromEntries(own) }
  const jobs = new FlinkJobs(flinkAccess(loadConfig({ flags })))
  await jobs.cancel(name).catch(() => undefined)
}
