import { testLog } from './log.conformance.ts'
import { createMemoryLog } from './memory-log.ts'

const reason = 'nothing of it is on a disk'

testLog({
  name: 'memory',
  createBench: async () => ({ open: async () => createMemoryLog() }),
  trimsWholeSegments: false,
  forgetsOnClose: reason,
  cannotCutPower: reason,
  cannotFill: reason,
  cannotFailFlush: reason,
  cannotDamage: reason,
})
