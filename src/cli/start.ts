/** `weir start`: the pipeline, or a role of it on a cluster, until it is told to stop. */
import type { Command } from 'commander'
import type { Cluster } from '../cluster/cluster.ts'
import { parseRoles } from '../cluster/roles.ts'
import type { EmbeddedOptions } from '../embedded/embedded.ts'
import type { Events } from '../observe/observe.ts'
import { addPipelineFlags, loadPlan, loadSettings, type SettingsFlags } from './settings.ts'
import { openEvents } from './event-output.ts'
import { untilStopped } from './until-stopped.ts'

interface StartFlags extends SettingsFlags {
  writeCredentials?: string
  role?: string
}

/** So long behind the end of all parts. */
const LEFT_OPEN_MS = 5000

const EXAMPLES = `
Examples:
  weir start
  weir start --data /var/lib/weir --pipeline weir.pipeline.yaml --write-credentials admin.json
  weir start --http-port 0 --mqtt-port 0     the ports are then in DATA/ports.json
  weir start --role all --config cluster.yaml
  weir start --role gateway --config cluster.yaml --data /var/lib/weir-gateway

Without --role everything is in this process and its data folder. With it, the services named in the
configuration hold the data: kafka.brokers and postgres.url at least. Each process has a data folder
of its own, for ports.json.

The first start creates an admin key: printed once on a terminal, else only written to the file of
--write-credentials (mode 600). SIGTERM and Ctrl-C drain and stop.`

export function addStart(program: Command): void {
  const command = program
    .command('start')
    .description('start the pipeline')
    .option('--write-credentials <file>', 'write {"adminKey":…} to a file of mode 600')
    .option('--role <roles>', 'on a cluster: all, or of gateway,stream,writer,lake,sink,control')
  addPipelineFlags(command).addHelpText('after', EXAMPLES).action(start)
}

async function start(flags: StartFlags): Promise<void> {
  const config = await loadSettings(flags)
  const plan = await loadPlan(flags.pipeline)
  const stopped = untilStopped()
  const events = openEvents(flags.logFormat, 'info')
  const startMs = performance.now()
  const crashed = Promise.withResolvers<Error>()
  const running = await startEngine(flags.role, {
    config,
    plan,
    credentialsFile: flags.writeCredentials,
    onCrash: crashed.resolve,
    events,
  })
  const { httpPort: http, mqttPort: mqtt } = running
  events.serverReady({ http, mqtt, startMs: Math.round(performance.now() - startMs) })
  if (process.stdout.isTTY) {
    console.log(`HTTP ${running.httpUrl}`)
    if (running.mqttUrl !== undefined) console.log(`MQTT ${running.mqttUrl}`)
    if (running.isAdminKeyNew) console.log(`Admin key, shown once: ${running.adminKey}`)
    if (running.signInUrl !== undefined) console.log(`Sign in: ${await running.signInUrl()}`)
  }
  const end = await Promise.race([stopped, crashed.promise])
  // A thread that is gone answers no call, so there is no orderly stop without it. Everything
  // acknowledged is in the log: the process ends, its supervisor restarts it, and it goes on.
  if (typeof end !== 'string') throw end
  const drainStartMs = performance.now()
  await running.stop()
  events.serverStopped({ drainMs: Math.round(performance.now() - drainStartMs) })
  endSoon(events)
}

/** What a part has left open does not keep a server that has stopped: whoever stopped it waits. */
function endSoon(events: Events): void {
  const end = (): void => {
    events.stopIncomplete({ open: process.getActiveResourcesInfo().join(', ') })
    process.exit()
  }
  setTimeout(end, LEFT_OPEN_MS).unref()
}

/** Loaded here, so that other commands do not pay for an engine, nor one engine for the other. */
async function startEngine(role: string | undefined, options: EmbeddedOptions): Promise<Cluster> {
  if (role === undefined) {
    const { startEmbedded } = await import('../embedded/embedded.ts')
    return startEmbedded(options)
  }
  const { startCluster } = await import('../cluster/cluster.ts')
  return startCluster({ ...options, roles: parseRoles(role, options.config) })
}
