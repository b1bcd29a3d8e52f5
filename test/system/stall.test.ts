/**
 * The server stands still under load (SIGSTOP: a paused machine, a debugger, a disk that hangs) and
 * goes on. Nothing acknowledged is lost, windows and rules are right, and clients stay connected:
 * what they said meanwhile waits in their sockets, so nobody was silent.
 *
 * WEIR_STALL_SECONDS makes it longer: 30 is the issue's.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { PIPELINE } from './crash-fleet.ts'
import { FleetLoad } from './fleet-load.ts'
import { openPinging } from './pinging-client.ts'
import { makeFolder, until, WeirProcess } from './weir-process.ts'

const STALL_SECONDS = Number(process.env['WEIR_STALL_SECONDS'] ?? 6)
const CONFIG = 'stream: { checkpointInterval: 500ms }\n'

test('SIGSTOP under load: nothing is lost, clients go on, windows are right', async (t) => {
  const folder = await makeFolder(t)
  const weir = await WeirProcess.start({ folder, config: CONFIG, pipeline: PIPELINE })
  const pinging = openPinging(weir.mqtt, {
    ...{ id: 'pinging', token: await weir.register({ id: 'pinging' }) },
  })
  t.after(pinging.close)
  const load = await FleetLoad.begin(t, weir)
  await until('the load runs', () => load.acknowledged > 300 && pinging.state.isConnected)
  weir.running.child.kill('SIGSTOP')
  const stoppedAt = await until('nothing is acknowledged', async () => {
    const before = load.acknowledged
    await delay(300)
    return load.acknowledged === before && { count: before }
  })
  await delay(STALL_SECONDS * 1000)
  assert.equal(load.acknowledged, stoppedAt.count)
  weir.running.child.kill('SIGCONT')
  // So long that some of what rules wait for lasts long enough.
  await until('the load goes on', () => load.acknowledged > stoppedAt.count + 1000)
  const { pongs } = pinging.state
  await until('further pings are answered', () => pinging.state.pongs > pongs + 2)
  assert.ok(!pinging.state.isClosed, 'its pings were waiting in the socket')
  await load.finish(weir)
  await weir.kill()
  const again = await WeirProcess.start({ folder, config: CONFIG, pipeline: PIPELINE })
  await load.verify(again)
  await again.stop()
})
