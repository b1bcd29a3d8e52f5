/** Live events of a cluster: over Redis, or within this process where there is none. */
import type { Config } from '../config/config.ts'
import { LiveSink, LiveSource, type Fanout } from '../fanout/fanout.ts'
import { MemoryBus } from '../fanout/memory-fanout.ts'
import { openRedisFanout } from '../fanout/redis-fanout.ts'
import { nodeWorld } from '../world/node-world.ts'

export interface Live {
  source: LiveSource
  sink: LiveSink
  /** Calls back whenever the devices that somebody follows change. */
  onFollow: (listener: (deviceIds: string[]) => void) => void
  close(): Promise<void>
}

/** Errors: CONFIG_VALUE_INVALID, for an address that is none. */
export function openLive(config: Config, countDevices: (tenant: string) => Promise<number>): Live {
  const { clock, random } = nodeWorld
  const fanouts = openFanouts(config)
  let follow: (deviceIds: string[]) => void = () => {}
  const sink = new LiveSink({
    ...{ fanout: fanouts[0], clock, random },
    onFollow: (devices) => follow(devices.map(({ deviceId }) => deviceId)),
  })
  const source = new LiveSource({ fanout: fanouts[1], clock, random, countDevices })
  return {
    sink,
    source,
    onFollow: (listener) => void (follow = listener),
    async close() {
      source.close()
      sink.close()
      await Promise.all([...new Set(fanouts)].map((fanout) => fanout.close()))
    },
  }
}

function openFanouts({ redis, kafka }: Config): [Fanout, Fanout] {
  if (redis.url === '') {
    const bus = new MemoryBus(nodeWorld.clock)
    return [bus.open(), bus.open()]
  }
  const access = { url: redis.url, prefix: kafka.topicPrefix }
  const fanout = openRedisFanout({ access, world: nodeWorld })
  return [fanout, fanout]
}
