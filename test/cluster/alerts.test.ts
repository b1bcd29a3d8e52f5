/** Alerts on a cluster: over the API, through Kafka, to whoever is told, whatever is killed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dialTo } from '../../src/cli/wire.ts'
import { MqttClient } from '../../src/fleet/mqtt-client.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { until } from '../system/weir-process.ts'
import { AlertInstallation, PIPELINE } from './alerts-fixture.ts'
import { skip } from './cluster-process.ts'
import { open as openKafka, readAll } from './kafka-fixture.ts'

const TIMEOUT_MS = 120_000
const CONTROLS = ['one', 'other']
const ROLES = { one: 'control', other: 'control', front: 'gateway,stream' }

test(
  'a rule put over the API, a device beyond it by MQTT: a signed webhook, and any process takes the acknowledgement',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const at = await AlertInstallation.open(t, ROLES)
    const front = at.process('front')
    const holder = await at.holder(CONTROLS)
    const other = CONTROLS.find((name) => name !== holder)!
    await at.addRecipient(other)
    await at.putRule(other, 'hot', {
      when: 'temperature > 80',
      severity: 'critical',
      tags: { line: 'b' },
    })
    const id = 'oven'
    const [token = ''] = await at.register(other, [id], { line: 'b' })
    await at.register(other, ['toaster'], { line: 'a' })
    const client = new MqttClient({
      ...{ dial: dialTo(new URL(`mqtt://127.0.0.1:${front.mqtt}`)), clock: nodeWorld.clock },
      ...{ random: nodeWorld.random, clientId: id, username: id, password: token },
    })
    client.connect()
    t.after(() => client.close())
    const say = (temperature: number): Promise<unknown> => {
      const payload = JSON.stringify({ ts: Date.now(), metrics: { temperature } })
      return client.publish(`devices/${id}/telemetry`, Buffer.from(payload))
    }
    // The same of a device that the rule is not for.
    await at.send('front', ['toaster'], { temperature: 90 })
    await say(90)
    await at.told(1)
    const [webhook] = at.receiver.webhooks.values()
    assert.deepEqual([webhook!.deviceId, webhook!.ruleId], [id, 'hot'])
    const alerts = await at.alerts(other)
    assert.deepEqual(
      alerts.map((alert) => [alert.id, alert.device_id, alert.state]),
      [[webhook!.alertId, id, 'firing']],
    )
    const path = `/v1/alerts/${webhook!.alertId}/acknowledge`
    const answer = await at.process(other).api(path, { body: { by: 'somebody' } })
    assert.equal(answer.status, 200, answer.text)
    await say(20)
    const [ended] = await until('it ends', async () => {
      const now = await at.alerts(holder)
      return now[0]?.state === 'resolved' && now
    })
    assert.equal(ended!.acknowledged?.by, 'somebody')
    const history = await at.history(holder, ended!.id)
    assert.deepEqual(
      history.map(({ what }) => what),
      ['fired', 'acknowledge', 'resolved'],
    )
    assert.equal(at.receiver.refused, 0)
  },
)

test(
  'a rule that changes in mid-stream changes at the same message in another job',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const roles = { control: 'control', gateway: 'gateway', stream: 'stream' }
    const at = await AlertInstallation.open(t, roles)
    await at.addRecipient('control')
    const devices = Array.from({ length: 8 }, (_, number) => `oven-${number}`)
    await at.register('control', [...devices, 'late'])
    const [hot, warm] = [devices.slice(0, 4), devices.slice(4)]
    await at.send('gateway', devices, { temperature: 20 })
    await at.putRule('control', 'hot', { when: 'temperature > 80' })
    await at.send('gateway', hot, { temperature: 90 })
    await at.send('gateway', warm, { temperature: 60 })
    await at.told(hot.length)
    await at.putRule('control', 'hot', { when: 'temperature > 50' })
    await at.send('gateway', warm, { temperature: 61 })
    await at.told(devices.length)
    // What the rule of before had begun ends with it.
    const events = await until('all has been said', async () => {
      const now = await distinctEvents(at)
      return now.ids.length === devices.length + hot.length && now
    })
    const alerts = await until('alerts have all of it', async () => {
      const now = await at.alerts('control')
      return now.filter(({ state }) => state === 'resolved').length === hot.length && now
    })
    // From the oldest entries: all of it is processed again.
    await at.at.flinkDoes('cancel')
    const pipeline = at.at.writePipeline('pipeline.yaml', PIPELINE)
    await at.at.flinkDoes('submit', '--fresh', '--pipeline', pipeline)
    const again = await until('all of it came again', async () => {
      const now = await distinctEvents(at)
      return now.count >= 2 * events.count && now
    })
    assert.deepEqual(again.ids, events.ids)
    // Whatever came again is taken before what is new.
    await at.send('gateway', ['late'], { temperature: 60 })
    await at.told(devices.length + 1)
    const now = await at.alerts('control')
    assert.deepEqual(
      now.filter(({ device_id }) => device_id !== 'late'),
      alerts,
    )
    assert.equal(at.receiver.webhooks.size, devices.length + 1)
  },
)

test(
  'the process that makes alerts is killed in the middle of a burst, and another goes on',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const at = await AlertInstallation.open(t, ROLES)
    const holder = await at.holder(CONTROLS)
    const other = CONTROLS.find((name) => name !== holder)!
    await at.addRecipient(other)
    await at.putRule(other, 'hot', { when: 'temperature > 80' })
    const devices = Array.from({ length: 80 }, (_, number) => `oven-${number}`)
    await at.register(other, devices)
    const burning = Promise.withResolvers<void>()
    at.receiver.onWebhook = () => {
      if (at.receiver.webhooks.size === 10) burning.resolve()
    }
    const sending = at.send('front', devices, { temperature: 90 })
    await burning.promise
    await at.at.kill(holder)
    await sending
    await at.told(devices.length)
    await at.send('front', devices, { temperature: 20 })
    const alerts = await until('all have ended', async () => {
      const now = await at.alerts(other)
      return now.every(({ state }) => state === 'resolved') && now
    })
    assert.deepEqual(
      alerts.map(({ device_id, occurrences }) => [device_id, occurrences]),
      devices.toSorted().map((id) => [id, 1]),
    )
    for (const { id } of alerts) {
      const history = await at.history(other, id)
      assert.deepEqual(
        history.map(({ what, episode_id }) => [what, episode_id]),
        [
          ['fired', id],
          ['resolved', id],
        ],
      )
    }
    // Each was told under one key; a repeat has the same one.
    const told = [...at.receiver.webhooks.values()].map(({ alertId }) => alertId)
    assert.deepEqual(told.toSorted(), alerts.map(({ id }) => id).toSorted())
    assert.equal(at.receiver.refused, 0)
    t.diagnostic(`${at.receiver.received - told.length} webhooks came twice`)
  },
)

/** Rule events that were ever said, and their ids and states. */
async function distinctEvents(at: AlertInstallation): Promise<{ count: number; ids: string[] }> {
  const kafka = await openKafka()
  try {
    const topic = `${at.at.name}.events.v1`
    const partitions = Array.from({ length: at.at.partitions }, (_, partition) => partition)
    const read = await Promise.all(partitions.map((partition) => readAll(kafka, topic, partition)))
    const said = read.flat().flatMap(({ value }) => {
      const { type, event } = JSON.parse(Buffer.from(value).toString()) as {
        type: string
        event: { id: string; state: string; ruleVersion: number }
      }
      return type === 'alert' ? [`${event.id} ${event.state} ${event.ruleVersion}`] : []
    })
    return { count: said.length, ids: [...new Set(said)].toSorted() }
  } finally {
    await kafka.close()
  }
}
