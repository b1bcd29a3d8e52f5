/** `weir simulate`: a fleet of devices that exist only here, against any running Weir. */
import type { Command } from 'commander'
import { WeirError } from '../errors/errors.ts'
import { Fleet, planDevice, type FleetDevice } from '../fleet/fleet.ts'
import { MqttClient } from '../fleet/mqtt-client.ts'
import { HttpUplink, MqttUplink } from '../fleet/uplinks.ts'
import { nodeWorld } from '../world/node-world.ts'
import { ApiClient } from './api-client.ts'
import { checkUrl } from './connection-flags.ts'
import { DeviceTokens } from './device-tokens.ts'
import { numberBetween } from './failure.ts'
import { Progress } from './progress.ts'
import { registerMissing } from './registration.ts'
import { untilStopped } from './until-stopped.ts'
import { dialTo } from './wire.ts'

interface SimulateFlags {
  devices: number
  interval: number
  seed: number
  url: string
  http?: string
  key?: string
  tokens: string
  prefix: string
}

/** To the process that started this one, once every device has a token. */
export const FLEET_REGISTERED = 'registered'

const EXAMPLES = `
Examples:
  WEIR_ADMIN_KEY=… weir simulate
  weir simulate --devices 1000 --interval 5 --url mqtt://127.0.0.1:1883 --key KEY

Devices that the server does not know are registered with the admin key over --http; their tokens
are kept in the file --tokens (mode 600), so that the next run needs no key. One device in ten talks
HTTP, the others MQTT. They lose their connection now and then, and send their backlog afterwards.`

export function addSimulate(program: Command): void {
  program
    .command('simulate')
    .description('run a simulated fleet against a running Weir')
    .option('--devices <n>', 'how many devices', numberBetween(1, 20_000), 50)
    .option('--interval <s>', 'seconds between two messages', numberBetween(0.05, 3600, false), 1)
    .option('--seed <n>', 'another seed, another story', numberBetween(0, 2 ** 31), 1)
    .option('--url <url>', 'MQTT address', 'mqtt://127.0.0.1:1883')
    .option('--http <url>', 'address of the HTTP API (default: port 8080 of the same host)')
    .option('--key <key>', 'admin key (or WEIR_ADMIN_KEY), to register what is missing')
    .option('--tokens <file>', 'where the devices’ tokens are kept', 'weir-fleet.json')
    .option('--prefix <text>', 'put in front of each device’s id', '')
    .addHelpText('after', EXAMPLES)
    .action(simulate)
}

async function simulate(flags: SimulateFlags): Promise<void> {
  const mqttUrl = checkUrl(flags.url, ['mqtt:', 'mqtts:'])
  const httpUrl = checkUrl(flags.http ?? `http://${mqttUrl.hostname}:8080`, ['http:', 'https:'])
  const tokens = new DeviceTokens(flags.tokens)
  await register(flags, httpUrl, tokens)
  // For `weir demo`, which starts this program.
  process.send?.(FLEET_REGISTERED)
  const fleet = new Fleet({
    devices: Array.from({ length: flags.devices }, (_, index) =>
      buildDevice(index, { flags, mqttUrl, httpUrl, tokens }),
    ),
    seed: flags.seed,
    intervalMs: flags.interval * 1000,
    clock: nodeWorld.clock,
  })
  fleet.start()
  console.log(`${flags.devices} devices talk to ${flags.url} and ${httpUrl.origin}. Ctrl-C stops.`)
  const progress = new Progress(0)
  const report = setInterval(() => {
    const { sent, acknowledged, lost, offline } = fleet.statistics
    progress.update(
      0,
      `${sent} sent, ${acknowledged} acknowledged, ${lost} lost, ${offline} offline`,
    )
  }, 1000)
  await untilStopped()
  clearInterval(report)
  progress.finish()
  await fleet.stop()
  const { sent, acknowledged, lost, repeated } = fleet.statistics
  console.log(
    `${sent} messages sent (${repeated} of them twice on purpose), ` +
      `${acknowledged} acknowledged, ${lost} lost.`,
  )
  if (process.connected) process.disconnect()
}

/** Makes sure that there is a token for each device of the fleet. */
async function register(flags: SimulateFlags, httpUrl: URL, tokens: DeviceTokens): Promise<void> {
  const wanted = Array.from({ length: flags.devices }, (_, index) => {
    const { id, model } = planDevice(index)
    return { id: flags.prefix + id, type: model.type }
  })
  if (wanted.every((device) => tokens.get(device.id) !== undefined)) return
  const key = flags.key ?? process.env['WEIR_ADMIN_KEY']
  if (key === undefined || key === '')
    throw new WeirError(
      'CLI_USAGE_INVALID',
      `${flags.tokens} has no tokens for these devices; give --key or WEIR_ADMIN_KEY`,
    )
  const progress = new Progress(wanted.length)
  const client = new ApiClient({ url: httpUrl.origin, key })
  const lost = await registerMissing(client, tokens, wanted, (done) =>
    progress.update(done, `${done} of ${wanted.length} devices registered`),
  )
  progress.finish()
  if (lost.length > 0)
    throw new WeirError(
      'CONTROL_DEVICE_EXISTS',
      `${lost.slice(0, 3).join(', ')} and ${lost.length} in all exist already, and ${flags.tokens} ` +
        'has no tokens for them: give the file of the earlier run by --tokens, or another --prefix',
    )
}

interface Surroundings {
  flags: SimulateFlags
  mqttUrl: URL
  httpUrl: URL
  tokens: DeviceTokens
}

/** One in ten talks HTTP. */
const isHttp = (index: number): boolean => index % 10 === 9

function buildDevice(index: number, surroundings: Surroundings): FleetDevice {
  const { flags, mqttUrl, httpUrl, tokens } = surroundings
  const { clock, random } = nodeWorld
  const planned = planDevice(index)
  const id = flags.prefix + planned.id
  const token = tokens.get(id) ?? ''
  if (isHttp(index)) {
    const client = new ApiClient({ url: httpUrl.origin, key: token })
    const path = `/v1/devices/${encodeURIComponent(id)}/telemetry`
    const post = async (payload: string): Promise<void> => void (await client.post(path, payload))
    return { id, model: planned.model, uplink: new HttpUplink(post, clock) }
  }
  const credentials = { clientId: id, username: id, password: token }
  const client = new MqttClient({ dial: dialTo(mqttUrl), clock, random, ...credentials })
  return { id, model: planned.model, uplink: new MqttUplink(client, id) }
}
