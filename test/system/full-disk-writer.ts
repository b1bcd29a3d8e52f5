/**
 * `node full-disk-writer.ts PATH`: opens a registry that is there already and says so; told to go
 * on, it registers devices until one is refused, and says with which code.
 */
import { once } from 'node:events'
import { SharedIndex } from '../../src/control/shared-index.ts'
import { openControl } from '../../src/control/sqlite-control.ts'
import { WeirError } from '../../src/errors/errors.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

const path = process.argv[2]!
// Its tables are made, and nothing is left in its log: the next one has written no index yet.
await openControl({ path, world: nodeWorld }).close()
const control = openControl({ path, world: nodeWorld })
await new SharedIndex(nodeWorld.disk, path).allocate()
console.log('open')
await once(process.stdin, 'data')
let refused: unknown
for (let number = 0; refused === undefined; number++) {
  const device = { id: `device-${number}`, type: 'pump' }
  await control.createDevice('default', device).catch((error: unknown) => (refused = error))
}
console.log(refused instanceof WeirError ? refused.code : String(refused))
process.exit()
