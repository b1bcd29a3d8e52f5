import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { ConnectRate, networkOf } from './connect-rate.ts'

const admitted = (rate: ConnectRate, address: string, tries: number): number =>
  Array.from({ length: tries }, () => rate.admits(address)).filter(Boolean).length

test('row 19: an address has five seconds’ worth at once, then its rate, and others have theirs', async () => {
  const clock = new SimulatedClock()
  const rate = new ConnectRate(clock, 10)
  assert.equal(admitted(rate, '10.0.0.1', 100), 50)
  assert.equal(admitted(rate, '10.0.0.2', 100), 50)
  await clock.run(1000)
  assert.equal(admitted(rate, '10.0.0.1', 100), 10)
  await clock.run(3_600_000)
  assert.equal(admitted(rate, '10.0.0.1', 100), 50)
})

test('row 19: of IPv6 the network counts, not the address', () => {
  assert.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2')
  assert.equal(networkOf('2001:db8::5:6'), '2001:db8:0:0')
  assert.equal(networkOf('::1'), '0:0:0:0')
  assert.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0')
  assert.equal(networkOf('::ffff:10.1.2.3'), '10.1.2.3')
  assert.equal(networkOf('10.1.2.3'), '10.1.2.3')
})

test('row 19: a hundred thousand addresses are not remembered for ever', () => {
  const rate = new ConnectRate(new SimulatedClock(), 1)
  for (let i = 0; i < 100_000; i++) assert.ok(rate.admits(`a${i}`))
  // The first is long forgotten, the last is not.
  assert.equal(admitted(rate, 'a0', 9), 5)
  assert.equal(admitted(rate, 'a99999', 9), 4)
})
