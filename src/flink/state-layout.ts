/** Which job can take up the state of which. */
import type { JobPlan, JobSpec } from './flink.ts'

/**
 * What the functions write into their state, and the shape of the job around them: the number in
 * `JobSettings.java`, which refuses to run under another. It goes up when a job of before cannot be
 * read: with the bytes of any of the functions, and with tables and expressions of `job-sql.ts`,
 * since Flink knows source and sinks by their places.
 */
export const STATE_LAYOUT = 1

/** Of a job that ran: its parameters, as the JobManager has them, or as they were written down. */
export type JobParameters = Readonly<Record<string, string | undefined>>

/** Why the state of a job with these parameters cannot be taken up; empty when it can. */
export function stateDifferences(before: JobParameters, spec: JobSpec): string[] {
  const differences: string[] = []
  const layout = before['weir.layout']
  if (layout !== String(STATE_LAYOUT))
    differences.push(
      `its state has layout ${layout ?? 'unknown'}, and this version ${STATE_LAYOUT}`,
    )
  const max = before['weir.max-parallelism']
  if (max !== String(spec.maxParallelism))
    differences.push(`flink.maxParallelism was ${max ?? 'unknown'} and is ${spec.maxParallelism}`)
  const partitions = before['weir.partitions']
  if (partitions !== String(spec.partitions) && !isGrown(before, spec))
    differences.push(`partitions of Kafka were ${partitions ?? 'unknown'}, now ${spec.partitions}`)
  const windows = planOf(before)?.windowsMs.join(', ')
  if (windows !== spec.plan.windowsMs.join(', ')) {
    const now = spec.plan.windowsMs.join(', ')
    differences.push(`its windows were of ${windows ?? 'unknown'} ms, and are of ${now} ms`)
  }
  return differences
}

/** The same job as one with these parameters, on the topics and with the settings of `spec`. */
export function specAsBefore(before: JobParameters, spec: JobSpec): JobSpec {
  return {
    ...spec,
    plan: planOf(before) ?? spec.plan,
    parallelism: Number(before['weir.parallelism'] ?? spec.parallelism),
  }
}

/** The generation of a job's topics. */
export const generationOf = (parameters: JobParameters): number =>
  Number(parameters['weir.generation'] ?? 1)

/** Devices of a new partition were in one partition before. */
function isGrown(before: JobParameters, { generation, partitions }: JobSpec): boolean {
  const isNext = generation > generationOf(before)
  return isNext && partitions % Number(before['weir.partitions']) === 0
}

/** What else is different, and keeps the state. */
export function otherDifferences(before: JobParameters, spec: JobSpec): string[] {
  const differences: string[] = []
  const parallelism = before['weir.parallelism']
  if (parallelism !== String(spec.parallelism))
    differences.push(`parallelism ${parallelism} → ${spec.parallelism}`)
  const generation = generationOf(before)
  if (generation !== spec.generation)
    differences.push(`topics of generation ${generation} → ${spec.generation}`)
  const plan = planOf(before)
  const parts = Object.keys({ ...plan, ...spec.plan }).filter(
    (part) => JSON.stringify(plan?.[part]) !== JSON.stringify(spec.plan[part]),
  )
  if (parts.length > 0) differences.push(`of the pipeline: ${parts.join(', ')}`)
  return differences
}

function planOf(parameters: JobParameters): JobPlan | undefined {
  try {
    const text = Buffer.from(parameters['weir.plan'] ?? '', 'base64url').toString()
    return JSON.parse(text) as JobPlan
  } catch {
    return undefined
  }
}
