/** The stream stage with everything that it needs from this process. */
import { LiveTap } from '../embedded/live-tap.ts'
import { StreamState } from '../postgres/stream-state.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import type { Live } from './live.ts'
import { StreamRole } from './stream-role.ts'

/** Devices of one partition; a number that is not used costs nothing. */
const DEVICES_MAX = 4_000_000

/** Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
export async function openStreamRole(
  shared: Shared,
  tenant: string,
  live: Live,
): Promise<StreamRole> {
  const { config, plan, topics, events } = shared
  const state = await StreamState.open(postgresAccess(config))
  const taps = new Set<LiveTap>()
  live.onFollow((deviceIds) => taps.forEach((tap) => tap.follow(deviceIds)))
  const { seriesMax, textsMax } = config.gateway
  const limits = { ...config.stream, seriesMax, textsMax, deviceMax: DEVICES_MAX }
  const { batchBytesMax: bytesMax, intervalUs } = config.writer
  return new StreamRole({
    ...{ topics, state, clock: nodeWorld.clock },
    options: { plan, limits, bytesMax, waitMs: intervalUs / 1000 },
    createTap() {
      const tap = new LiveTap((event) => {
        if (event.event !== 'rate') live.sink.publish(tenant, event)
      })
      taps.add(tap)
      return tap
    },
    removeTap: (tap) => void taps.delete(tap as LiveTap),
    malformed: (topic, offset, { code, message: detail }) =>
      events?.entryMalformed({ topic, offset, code, detail }),
    lost: (fields) => events?.entriesLost(fields),
    failed: (error) => events?.roleFailed({ role: 'stream', problem: String(error) }),
  })
}
