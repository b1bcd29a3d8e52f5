import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { Pace, Turns } from './turns.ts'

test('a commit rests between its slices until half of the readings of the next are here', async () => {
  const clock = new SimulatedClock()
  const pace = new Pace()
  const turns = new Turns(clock, pace)
  let slices = 0
  const work = async (): Promise<void> => {
    for (; slices < 5; slices++) await turns.yield()
  }

  pace.begin(100, 20)
  pace.arrive(29)
  const done = work()
  await clock.run(1)
  assert.equal(slices, 0, 'it rests')
  await clock.run(3)
  assert.equal(slices, 1, 'it rests again')
  pace.arrive(1)
  await clock.run(3)
  await done
  assert.equal(slices, 5, 'half is here: the rest follows without a pause')
})
