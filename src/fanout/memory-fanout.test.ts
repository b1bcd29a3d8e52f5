import { SimulatedClock } from '../world/simulated-clock.ts'
import { testFanout } from './fanout.conformance.ts'
import { MemoryBus } from './memory-fanout.ts'

testFanout({
  name: 'memory',
  createBench() {
    const clock = new SimulatedClock()
    const bus = new MemoryBus(clock)
    return { open: async () => bus.open(), pass: (durationMs) => clock.run(durationMs) }
  },
})
