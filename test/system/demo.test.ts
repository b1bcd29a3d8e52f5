/**
 * What a newcomer sees: the command behind `npm start` prints a page and lines to paste, they work
 * as they are printed, the simulated fleet delivers, and Ctrl-C ends it all.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolder, missingTool, readPorts, run, until, weir as runWeir } from './weir-process.ts'

const toolsMissing = (await missingTool('curl')) || (await missingTool('sh'))
const mosquittoMissing = await missingTool('mosquitto_pub')

const START_MS = 60_000
/** A simulated device may be in an outage of 30 s just now. */
const FLEET_MS = 50_000
const DEVICES = 50

/** The command that begins with this word, with its continuation lines, as one would paste it. */
function printedCommand(output: string, program: string): string {
  const found = new RegExp(`^ *(${program} (?:.*\\\\\\n)*.*)$`, 'm').exec(output)?.[1]
  assert.ok(found !== undefined, `no ${program} line in\n${output}`)
  return found
}

test('the demo’s printed lines work, its fleet delivers, Ctrl-C ends it', async (t) => {
  const data = await makeFolder(t)
  const ports = ['--http-port', '0', '--mqtt-port', '0', '--coap-port', '0']
  const demo = runWeir(['demo', '--data', data, ...ports])
  const address = await until(
    'the page’s address',
    () => {
      assert.ok(!demo.hasEnded, `the demo ended\n${demo.output}`)
      return demo.stdout.includes('Ctrl-C') && /http:\/\/\S+\/\?code=\S+/.exec(demo.stdout)?.[0]
    },
    START_MS,
  )
  const known = await readPorts(data)
  assert.ok(known !== undefined)
  const url = `http://127.0.0.1:${known.http}`
  assert.ok(address.startsWith(url))
  const { adminKey } = JSON.parse(await readFile(join(data, 'credentials.json'), 'utf8')) as {
    adminKey: string
  }
  const get = async <Body>(path: string): Promise<Body> => {
    const answer = await fetch(url + path, { headers: { authorization: `Bearer ${adminKey}` } })
    assert.equal(answer.status, 200, `${path}\n${demo.output}`)
    return (await answer.json()) as Body
  }
  const temperature = async (): Promise<number | undefined> => {
    type Latest = { metrics: { temperature?: { value: number } } }
    return (await get<Latest>('/v1/devices/my-device/latest')).metrics.temperature?.value
  }
  await t.test('the curl line', { skip: toolsMissing }, async () => {
    const { code, stdout, stderr } = await run('sh', ['-c', printedCommand(demo.stdout, 'curl')])
    assert.equal(code, 0, stderr)
    assert.equal(stdout, '{"accepted":1}')
    await until('its reading', async () => (await temperature()) === 21.5)
  })
  await t.test('the mosquitto_pub line', { skip: mosquittoMissing }, async () => {
    const line = printedCommand(demo.stdout, 'mosquitto_pub')
    const { code, stderr } = await run('sh', ['-c', line])
    assert.equal(code, 0, stderr)
    await until('its reading', async () => (await temperature()) === 22.5)
  })
  await t.test(`${DEVICES} devices deliver`, async () => {
    type Devices = { devices: { id: string }[]; total: number }
    const fleet = await until(
      'the fleet is registered',
      async () => {
        const { devices, total } = await get<Devices>('/v1/devices?limit=1000')
        return total === DEVICES + 1 && devices.filter(({ id }) => id !== 'my-device')
      },
      FLEET_MS,
    )
    const silent = new Set(fleet.map(({ id }) => id))
    await until(
      'each has delivered',
      async () => {
        for (const id of silent) {
          const { metrics } = await get<{ metrics: object }>(`/v1/devices/${id}/latest`)
          if (Object.keys(metrics).length > 0) silent.delete(id)
        }
        return silent.size === 0
      },
      FLEET_MS,
    )
    const { items } = await get<{ items: unknown[] }>('/v1/dead-letters')
    assert.deepEqual(items, [], 'a simulated device sends nothing that is refused')
  })
  assert.equal(await demo.signal('SIGINT'), 0, demo.output)
  assert.equal(await readPorts(data), undefined)
  assert.match(demo.stdout, /Stopped/)
  assert.equal(demo.stderr, '')
})
