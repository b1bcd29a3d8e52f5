/**
 * From command-line flags to the two things that start Weir: its configuration and its plan. Their
 * checkers are loaded on first use, so that commands which need neither start at once.
 */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { Option } from 'commander'
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { numberBetween } from './failure.ts'

/** As commander hands them over; all optional, since the configuration has the defaults. */
export interface SettingsFlags {
  data?: string
  config?: string
  pipeline?: string
  httpPort?: number
  mqttPort?: number
  coapPort?: number
  host?: string
  logFormat?: 'human' | 'json'
  allowPrivateWebhooks?: boolean
}

const port = numberBetween(0, 65_535)

export function addSettingsFlags(command: Command): Command {
  return command
    .option('--data <folder>', 'where everything is kept (default: ./weir-data)')
    .option('--config <file>', 'configuration in YAML; `weir config print` shows all keys')
    .option('--pipeline <file>', 'pipeline definition in YAML: types, windows, rules')
    .option('--http-port <n>', 'port of the HTTP API; 0: any free one (default: 8080)', port)
    .option('--mqtt-port <n>', 'port of the MQTT door; 0: any free one (default: 1883)', port)
    .option('--coap-port <n>', 'kept for CoAP, which does not exist yet', port)
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .addOption(new Option('--log-format <format>', 'events as').choices(['human', 'json']))
}

/** Of commands that run a pipeline. */
export function addPipelineFlags(command: Command): Command {
  return addSettingsFlags(command).option(
    '--allow-private-webhooks',
    'webhooks may lead to private addresses, and by http',
  )
}

/** Throws CONFIG_*, or CLI_USAGE_INVALID when the file cannot be read. */
export async function loadSettings(flags: SettingsFlags): Promise<Config> {
  const { loadConfig } = await import('../config/config.ts')
  const file = flags.config === undefined ? undefined : readText(flags.config)
  return loadConfig({ file, flags: configFlags(flags), env: process.env })
}

/** By the setting's path; what was not given stays undefined, which is unset. */
function configFlags(flags: SettingsFlags): Record<string, unknown> {
  return {
    data: flags.data,
    'http.port': flags.httpPort,
    'mqtt.port': flags.mqttPort,
    'coap.port': flags.coapPort,
    'http.host': flags.host,
    'mqtt.host': flags.host,
    'alerts.allowPrivateWebhooks': flags.allowPrivateWebhooks,
  }
}

/** The plan of the file, or the default one. Throws PIPELINE_*. */
export async function loadPlan(file: string | undefined): Promise<Plan> {
  const { defaultPlan, parsePipeline } = await import('../pipeline/compile.ts')
  if (file === undefined) return defaultPlan()
  const { text, name } = readText(file)
  return parsePipeline(text, name)
}

/** Throws CLI_USAGE_INVALID. */
function readText(file: string): { text: string; name: string } {
  try {
    return { text: readFileSync(file, 'utf8'), name: file }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('CLI_USAGE_INVALID', `cannot read ${file}: ${reason}`, { cause })
  }
}
