import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { WaitingRoom } from './waiting-room.ts'

class Rig {
  readonly clock = new SimulatedClock()
  isClosed = true
  readonly said: string[] = []
  readonly room = new WaitingRoom(this.clock, () => this.isClosed)

  enter(name: string): void {
    this.room.enter().then(
      () => this.said.push(name),
      (error: { code: string }) => this.said.push(`${name} ${error.code}`),
    )
  }
}

test('promise 6: who comes while nothing is taken waits a moment, first come, first served', async () => {
  const rig = new Rig()
  rig.enter('first')
  rig.enter('second')
  await rig.clock.run(249)
  assert.deepEqual(rig.said, [])
  rig.isClosed = false
  rig.room.call()
  await rig.clock.run(0)
  assert.deepEqual(rig.said, ['first', 'second'])
})

test('promise 6: and is sent away when it lasts', async () => {
  const rig = new Rig()
  rig.enter('first')
  await rig.clock.run(150)
  rig.enter('second')
  rig.room.call()
  await rig.clock.run(100)
  assert.deepEqual(rig.said, ['first GATEWAY_OVERLOADED'])
  await rig.clock.run(150)
  assert.deepEqual(rig.said, ['first GATEWAY_OVERLOADED', 'second GATEWAY_OVERLOADED'])
})

test('each takes its part before the next is called', async () => {
  const rig = new Rig()
  rig.enter('first')
  rig.enter('second')
  await rig.clock.run(100)
  rig.isClosed = false
  rig.room.call()
  // The first fills what was free.
  while (rig.said.length === 0) await Promise.resolve()
  rig.isClosed = true
  await rig.clock.run(100)
  assert.deepEqual(rig.said, ['first'])
  rig.isClosed = false
  rig.room.call()
  await rig.clock.run(1)
  assert.deepEqual(rig.said, ['first', 'second'])
})
