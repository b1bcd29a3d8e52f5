import { nodeWorld } from '../world/node-world.ts'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { createMemorySignIns } from './memory-sign-ins.ts'
import { testSignIns } from './sign-ins.conformance.ts'

testSignIns({
  name: 'memory',
  async createBench() {
    const clock = new SimulatedClock()
    const signIns = createMemorySignIns({ clock, random: nodeWorld.random })
    return {
      open: async () => signIns,
      pass: (durationMs) => clock.run(durationMs),
      close: async () => undefined,
    }
  },
})
