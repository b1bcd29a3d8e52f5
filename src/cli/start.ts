/** `weir start`: the embedded pipeline, until it is told to stop. */
import type { Command } from 'commander'
import { addSettingsFlags, loadPlan, loadSettings, type SettingsFlags } from './settings.ts'
import { openEvents } from './event-output.ts'
import { untilStopped } from './until-stopped.ts'

interface StartFlags extends SettingsFlags {
  writeCredentials?: string
}

const EXAMPLES = `
Examples:
  weir start
  weir start --data /var/lib/weir --pipeline weir.pipeline.yaml --write-credentials admin.json
  weir start --http-port 0 --mqtt-port 0     the ports are then in DATA/ports.json

The first start creates an admin key: printed once on a terminal, else only written to the file of
--write-credentials (mode 600). SIGTERM and Ctrl-C drain and stop.`

export function addStart(program: Command): void {
  const command = program
    .command('start')
    .description('start the pipeline')
    .option('--write-credentials <file>', 'write {"adminKey":…} to a file of mode 600')
  addSettingsFlags(command).addHelpText('after', EXAMPLES).action(start)
}

async function start(flags: StartFlags): Promise<void> {
  const config = await loadSettings(flags)
  const plan = await loadPlan(flags.pipeline)
  // Loaded here, so that the other commands do not pay for the engine.
  const { startEmbedded } = await import('../embedded/embedded.ts')
  const stopped = untilStopped()
  const events = openEvents(flags.logFormat, 'info')
  const startMs = performance.now()
  const crashed = Promise.withResolvers<Error>()
  const embedded = await startEmbedded({
    config,
    plan,
    credentialsFile: flags.writeCredentials,
    onCrash: crashed.resolve,
    events,
  })
  const { httpPort: http, mqttPort: mqtt } = embedded
  events.serverReady({ http, mqtt, startMs: Math.round(performance.now() - startMs) })
  if (process.stdout.isTTY) {
    console.log(`HTTP ${embedded.httpUrl}\nMQTT ${embedded.mqttUrl}`)
    if (embedded.isAdminKeyNew) console.log(`Admin key, shown once: ${embedded.adminKey}`)
    console.log(`Sign in: ${embedded.signInUrl()}`)
  }
  const end = await Promise.race([stopped, crashed.promise])
  // A thread that is gone answers no call, so there is no orderly stop without it. Everything
  // acknowledged is in the log: the process ends, its supervisor restarts it, and it goes on.
  if (typeof end !== 'string') throw end
  const drainStartMs = performance.now()
  await embedded.stop()
  events.serverStopped({ drainMs: Math.round(performance.now() - drainStartMs) })
}
