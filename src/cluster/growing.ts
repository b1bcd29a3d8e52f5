/**
 * How the stream goes from one generation of its topics to the next: when the old telemetry is
 * sealed and processed to its end, each new partition begins with the checkpoint of the old one
 * that its devices were in. Whatever ends the process, it is done again by the next one, which
 * finds the old checkpoints until all new ones are there.
 */
import { deviceKey, partitionOf } from '../entries/entries.ts'
import type { Lease } from '../postgres/postgres.ts'
import type { StreamState } from '../postgres/stream-state.ts'
import type { Generation, Topics } from './topics.ts'

/** The newest of which all partitions have a checkpoint; the first needs none. */
export async function currentGeneration(state: StreamState, topics: Topics): Promise<Generation> {
  const all = await topics.generations()
  const counts = await state.counts()
  const isBegun = ({ number, partitions }: Generation): boolean =>
    (counts.get(number) ?? 0) >= partitions
  return all.findLast(isBegun) ?? all[0]!
}

export async function divideCheckpoints(
  state: StreamState,
  lease: Lease,
  { topics, generation: before }: { topics: Topics; generation: Generation },
): Promise<void> {
  const next = (await topics.after(before))!
  for (let partition = 0; partition < next.partitions; partition++) {
    await state.divide(lease, {
      from: { generation: before.number, partition: partition % before.partitions },
      to: { generation: next.number, partition },
      isOwn: ({ tenant, deviceId }) =>
        partitionOf(deviceKey(tenant, deviceId), next.partitions) === partition,
    })
  }
}
