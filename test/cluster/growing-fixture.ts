/** An installation that is given more partitions while everything runs. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { weir } from '../system/weir-process.ts'
import type { Installation } from './cluster-process.ts'
import { open as openKafka } from './kafka-fixture.ts'
import { METRIC } from './numbered-device.ts'

/** Every device breaks the rule early, and goes on breaking it. */
export const PIPELINE = `
version: 1
time: { disorder: 10s, allowedLateness: 2h, idleTimeout: 10m, alertStaleness: 1d }
windows: [1m]
rules:
  - { id: high, type: generic, when: "${METRIC} > 5", severity: critical }
`

/** By the command. */
export async function grow(
  at: Installation,
  to: number,
): Promise<{ code: number | null; output: string }> {
  const config = join(at.folder, 'grow.yaml')
  await writeFile(config, at.config())
  const running = weir(['partitions', 'grow', '--to', String(to), '--config', config])
  return { code: await running.end(), output: running.output }
}

export async function grown(at: Installation, to: number): Promise<void> {
  const { code, output } = await grow(at, to)
  assert.equal(code, 0, output)
  assert.match(output, new RegExp(`→ ${to} partitions`))
}

/** Entries of a topic, in so many of its partitions. */
export async function entriesIn(topic: string, partitions: number): Promise<number> {
  const kafka = await openKafka()
  let entries = 0
  for (let partition = 0; partition < partitions; partition++) {
    entries += (await kafka.bounds(topic, partition)).nextOffset
  }
  await kafka.close()
  return entries
}
