/** `weir flink status`, as it is printed. */
import type { JobStatus } from '../flink/flink.ts'

/** `ends` are next offsets of telemetry by partition; empty where Kafka does not say. */
export function describeStatus(
  status: JobStatus,
  ends: ReadonlyMap<number, number>,
  nowMs: number,
): string {
  const { job, dashboard, uptimeMs, restarts, checkpoint, failure, positions } = status
  const lines = [
    `job ${job.id} (${job.name}): ${job.state}`,
    `up ${duration(uptimeMs)}, submitted ${duration(nowMs - job.startMs)} ago, ${restarts ?? 'unknown'} restarts`,
  ]
  if (failure !== undefined) lines.push(`last failure: ${failure}`)
  if (checkpoint === undefined) lines.push('no checkpoint yet')
  else {
    const { atMs, bytes, durationMs, path } = checkpoint
    const size = `${(bytes / 1e6).toFixed(1)} MB in ${durationMs} ms`
    lines.push(`last checkpoint ${duration(nowMs - atMs)} ago, ${size}: ${path}`)
  }
  lines.push(...lags(positions, ends), dashboard)
  return lines.join('\n')
}

function lags(positions: ReadonlyMap<number, number>, ends: ReadonlyMap<number, number>): string[] {
  const known = [...ends].filter(([partition]) => positions.has(partition))
  if (known.length === 0) return []
  const behind = known.map(([partition, end]) => {
    return [partition, Math.max(0, end - positions.get(partition)!)] as const
  })
  const total = behind.reduce((sum, [, lag]) => sum + lag, 0)
  const each = behind.map(([partition, lag]) => `${partition}: ${lag}`).join(', ')
  return [`behind by ${total} entries (${each})`]
}

function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 120) return `${s} s`
  const minutes = Math.floor(s / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`
}
