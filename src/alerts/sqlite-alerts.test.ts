import { openControl } from '../control/sqlite-control.ts'
import { nodeWorld } from '../world/node-world.ts'
import { testAlerts } from './alerts.conformance.ts'

testAlerts({
  name: 'SQLite',
  async open() {
    const control = openControl({ path: ':memory:', world: nodeWorld })
    const { database } = control
    return { runner: database, other: database, close: () => control.close() }
  },
})
