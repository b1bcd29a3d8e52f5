/**
 * `weir demo`: the pipeline, a simulated fleet in a process of its own, and what to paste next. The
 * fleet is an ordinary client: it registers over the HTTP API and talks over loopback sockets.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { on, once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import type { Embedded } from '../embedded/embedded.ts'
import { WeirError } from '../errors/errors.ts'
import { ApiClient } from './api-client.ts'
import { DeviceTokens } from './device-tokens.ts'
import { openEvents } from './event-output.ts'
import { numberBetween, printFailure } from './failure.ts'
import { registerMissing } from './registration.ts'
import { addPipelineFlags, loadPlan, loadSettings, type SettingsFlags } from './settings.ts'
import { FLEET_REGISTERED } from './simulate.ts'
import { untilStopped } from './until-stopped.ts'

interface DemoFlags extends SettingsFlags {
  devices: number
  interval: number
}

const DEMO_PIPELINE = fileURLToPath(new URL('../fleet/demo.pipeline.yaml', import.meta.url))

const EXAMPLES = `
Examples:
  weir demo
  weir demo --devices 500 --data ./try-out

The demo keeps its devices' tokens in DATA/demo.json (mode 600). Unless --pipeline names another,
its pipeline definition is ${DEMO_PIPELINE}`

/** The device of the lines to paste. */
const OWN_DEVICE = 'my-device'
/** Seed of the demo's fleet: any, but always the same story. */
const SEED = '7'

export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('start with a simulated fleet and a page to look at')
    .option('--devices <n>', 'size of the fleet', numberBetween(1, 20_000), 50)
    .option('--interval <s>', 'seconds between two messages', numberBetween(0.05, 3600, false), 1)
  addPipelineFlags(command).addHelpText('after', EXAMPLES).action(demo)
}

async function demo(flags: DemoFlags): Promise<void> {
  const settings = await withFreePorts(flags)
  const config = await loadSettings(settings)
  const plan = await loadPlan(flags.pipeline ?? DEMO_PIPELINE)
  const { startEmbedded } = await import('../embedded/embedded.ts')
  const stopped = untilStopped()
  const embedded = await startEmbedded({
    config,
    plan,
    events: openEvents(flags.logFormat, 'warn'),
    // A pipeline without one of its threads is none; the fleet ends with its parent.
    onCrash(error) {
      printFailure(error)
      process.exit(1)
    },
  })
  try {
    const secrets = join(config.data, 'demo.json')
    const { adminKey } = embedded
    const ownToken = await registerOwnDevice(embedded, adminKey, secrets)
    const fleet = startFleet(embedded, { secrets, adminKey }, flags)
    const ended = once(fleet, 'exit').then(([code]) => `the fleet ended with ${String(code)}`)
    // Who opens the page finds the fleet there.
    await Promise.race([stopped, ended, untilRegistered(fleet)])
    await printWelcome(embedded, ownToken, flags)
    const reason = await Promise.race([stopped, ended])
    if (fleet.exitCode === null) await stopFleet(fleet)
    else if (!reason.startsWith('SIG')) await keepServing(reason, stopped)
  } finally {
    await embedded.stop()
  }
  console.log('\nStopped. The data stays; `weir demo` goes on with it.')
}

/** A fleet that fails leaves a pipeline that still works: say it, and wait for Ctrl-C. */
async function keepServing(reason: string, stopped: Promise<string>): Promise<void> {
  console.error(`weir: ${reason}; the pipeline goes on without it. Ctrl-C stops.`)
  await stopped
}

/** The token of the reader's own device, which is registered on the first start. */
async function registerOwnDevice(
  { httpUrl }: Embedded,
  adminKey: string,
  file: string,
): Promise<string> {
  const secrets = new DeviceTokens(file)
  const client = new ApiClient({ url: httpUrl, key: adminKey })
  await registerMissing(client, secrets, [{ id: OWN_DEVICE, type: 'generic' }])
  const token = secrets.get(OWN_DEVICE)
  if (token !== undefined) return token
  const detail = `${OWN_DEVICE} exists, but ${file} has no token for it; use another --data`
  throw new WeirError('CONTROL_DEVICE_EXISTS', detail)
}

/**
 * `weir simulate` as a child that ends with its parent: it watches the channel between them. This
 * very program once more, with the flags of this process, however both were installed.
 */
function startFleet(
  embedded: Embedded,
  { secrets, adminKey }: { secrets: string; adminKey: string },
  flags: DemoFlags,
): ChildProcess {
  const size = ['--devices', String(flags.devices), '--interval', String(flags.interval)]
  const addresses = ['--url', embedded.mqttUrl, '--http', embedded.httpUrl]
  return fork(
    process.argv[1]!,
    ['simulate', ...size, ...addresses, '--tokens', secrets, '--seed', SEED],
    {
      // The key goes by the environment, since every user can read a command line.
      env: { ...process.env, WEIR_ADMIN_KEY: adminKey },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  )
}

async function untilRegistered(fleet: ChildProcess): Promise<void> {
  for await (const [message] of on(fleet, 'message')) if (message === FLEET_REGISTERED) return
}

async function stopFleet(fleet: ChildProcess): Promise<void> {
  const exited = once(fleet, 'exit')
  const giveUp = setTimeout(() => fleet.kill('SIGKILL'), 3000)
  if (fleet.connected) fleet.disconnect()
  await exited
  clearTimeout(giveUp)
}

/** A busy default port is no reason to fail a demo: it takes a free one. A port asked for is. */
async function withFreePorts(flags: DemoFlags): Promise<DemoFlags> {
  const { http, mqtt } = await loadSettings(flags)
  const result = { ...flags }
  if (flags.httpPort === undefined && !(await isFree(http.port, http.host))) {
    console.log(`Port ${http.port} is busy, so the page takes a free one.`)
    result.httpPort = 0
  }
  if (flags.mqttPort === undefined && !(await isFree(mqtt.port, mqtt.host))) {
    console.log(`Port ${mqtt.port} is busy, so MQTT takes a free one.`)
    result.mqttPort = 0
  }
  return result
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}

async function printWelcome(embedded: Embedded, token: string, flags: DemoFlags): Promise<void> {
  const { httpUrl, mqttPort } = embedded
  console.log(`
Weir runs with ${flags.devices} simulated devices.

  The page (this address opens it once):
    ${await embedded.signInUrl()}

  Send a reading of a device of your own, "${OWN_DEVICE}":
    curl -H 'Authorization: Bearer ${token}' -H 'Content-Type: application/json' \\
      -d '{"temperature":21.5}' ${httpUrl}/v1/devices/${OWN_DEVICE}/telemetry

    mosquitto_pub -h 127.0.0.1 -p ${mqttPort} -q 1 -u ${OWN_DEVICE} -P '${token}' \\
      -t devices/${OWN_DEVICE}/telemetry -m '{"temperature":22.5}'

  pump-01 overheats within a minute: the first alert. Ctrl-C stops.
`)
}
