/** Processes of a test whose stream stage is a job of Flink. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

/**
 * Their section of the configuration, as YAML: the role `flink` starts a job of its own name, and
 * when the test has ended it is gone.
 */
export function flinkSection(t: Owner, more: Record<string, unknown> = {}): string {
  const { gateway, rest, checkpoints } = accessOf('flink')!
  const work = mkdtempSync(join(tmpdir(), 'weir-flink-'))
  // Flink keeps a jar open, and the next build writes over it.
  const jar = join(work, 'weir-flink.jar')
  copyFileSync((built ??= buildJar()), jar)
  const name = `weir-role-${process.pid}-${++sections}`
  const flink = {
    ...{ gatewayUrl: gateway, restUrl: rest, jar: `file://${jar}`, name, parallelism: 2 },
    ...{ checkpoints: `file://${checkpoints}`, checkpointInterval: '500ms', ...more },
  }
  const own = Object.entries(flink).map(([key, value]) => [`flink.${key}`, value] as const)
  const flags = { 'kafka.brokers': brokers.join(','), ...Object.fromEntries(own) }
  const jobs = new FlinkJobs(flinkAccess(loadConfig({ flags })))
  t.after(async () => {
    await jobs.cancel(name).catch(() => undefined)
    rmSync(work, { recursive: true })
  })
  return `flink: ${JSON.stringify(flink)}`
}
