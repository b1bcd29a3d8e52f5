/**
 * Alerts, opened: what API and command line ask, and the stage behind the stream. Any number of
 * processes open them on one database; one of them starts the stage.
 */
import type { ControlDatabase } from '../control/control.ts'
import { Registry, type MetricSample } from '../observe/observe.ts'
import type { Clock, Random } from '../world/world.ts'
import type {
  AlertFeed,
  AlertRecord,
  Alerts,
  Book,
  Recipient,
  RuleBook,
  Silence,
} from './alerts.ts'
import { ALERT_TIMES, type AlertTimes } from './alert-machine.ts'
import { AlertDesk } from './alert-desk.ts'
import { createAlertMetrics } from './alert-metrics.ts'
import { AlertStore } from './alert-store.ts'
import type { AskReadings } from './charts.ts'
import { Dispatcher } from './dispatcher.ts'
import { AlertEngine } from './engine.ts'
import { openChannel, type ChannelOptions } from './open-channel.ts'
import { removeOfDevices, removeOld, type AlertErasure } from './retention.ts'

export interface AlertOptions extends Omit<ChannelOptions, 'clock'> {
  /** Where people see alerts, as `https://weir.example`; in each message. */
  publicUrl: string
  /** For how long what is over is kept. */
  retentionUs: number
  /** For how long a message is tried; 24 h. */
  lifeUs?: number
  times?: Partial<AlertTimes>
}

export interface AlertParts {
  database: ControlDatabase
  world: { clock: Clock; random: Random }
  rules: RuleBook
  /** With the secrets of their channels. */
  recipients: Book<Recipient>
  silences: Book<Silence>
  options: AlertOptions
  /** The device's parent, as the registry has it; asked of devices that are silent. */
  parentOf: (tenant: string, deviceId: string) => Promise<string | undefined>
  /** Told of alerts as they now are, in the process that is started. */
  changed?: (alerts: readonly AlertRecord[]) => void
  /** Without, messages have no chart. */
  readings?: AskReadings
}

export interface OpenAlerts {
  readonly alerts: Alerts
  readonly feed: AlertFeed
  /** Once, in one process of the database: from now on what is due by itself happens. */
  start(): void
  /** The state of the stream was lost: all that fired until then ends. Errors: as of take(). */
  resolveAll(tenant: string, atUs: number): Promise<void>
  /** See removeOfDevices(). */
  erase(erasure: AlertErasure): Promise<{ removed: number; stillFiring: number }>
  metrics(): MetricSample[]
  /** What is under way ends, or is tried again by the next process. May be called again. */
  stop(): Promise<void>
}

const LIFE_US = 86_400_000_000
const RETENTION_INTERVAL_MS = 3_600_000

export function openAlerts(parts: AlertParts): OpenAlerts {
  const { world, rules, recipients, silences, options } = parts
  const { clock } = world
  const store = new AlertStore(parts.database)
  const registry = new Registry()
  const times = { ...ALERT_TIMES, ...options.times }
  const shared = {
    ...{ clock, random: world.random, store, recipients, silences, times },
    metrics: createAlertMetrics(registry),
    lifeUs: options.lifeUs ?? LIFE_US,
    linkOf: linkOf(options.publicUrl),
    openChannel: (definition: Parameters<typeof openChannel>[0]) =>
      openChannel(definition, { ...options, clock }),
  }
  const dispatcher = new Dispatcher({ ...shared, readings: parts.readings })
  const engine = new AlertEngine({
    ...{ ...shared, dispatcher, parentOf: parts.parentOf },
    changed: (alerts) => parts.changed?.(alerts),
  })
  const desk = new AlertDesk({ ...shared, onChange: () => isRunning && engine.poll() })
  const retention = createRetention(store, clock, options.retentionUs)
  let isRunning = false
  return {
    alerts: deskAsAlerts(desk, { rules, recipients, silences }),
    feed: engine,
    start() {
      isRunning = true
      engine.start()
      retention.start()
    },
    resolveAll: (tenant, atUs) => engine.resolveAll(tenant, atUs),
    erase: (erasure) => removeOfDevices(store, erasure),
    metrics: () => registry.samples(),
    async stop() {
      isRunning = false
      // At once: nothing is sent any more, also while the database takes its time to answer.
      await Promise.all([dispatcher.stop(), engine.stop(), retention.stop()])
    },
  }
}

const deskAsAlerts = (
  desk: AlertDesk,
  books: Pick<Alerts, 'rules' | 'recipients' | 'silences'>,
): Alerts => ({
  ...books,
  list: (...asked) => desk.list(...asked),
  find: (...asked) => desk.find(...asked),
  history: (...asked) => desk.history(...asked),
  deliveries: (...asked) => desk.deliveries(...asked),
  act: (...asked) => desk.act(...asked),
  retry: (...asked) => desk.retry(...asked),
  test: (...asked) => desk.test(...asked),
})

/** The page's address of one alert, or of all. */
function linkOf(publicUrl: string): (alertId: string | undefined) => string {
  const base = publicUrl.replace(/\/+$/, '')
  return (alertId) =>
    alertId === undefined ? `${base}/#alerts` : `${base}/#alerts/${encodeURIComponent(alertId)}`
}

function createRetention(store: AlertStore, clock: Clock, retentionUs: number) {
  let isStopped = false
  let running: Promise<void> | undefined
  let cancel = (): void => undefined
  const remove = (): void => {
    // What fails now is old in an hour, too.
    running ??= removeOld(store, clock.nowUs() - retentionUs, () => isStopped)
      .catch(() => undefined)
      .finally(() => (running = undefined))
  }
  return {
    start() {
      cancel = clock.every(RETENTION_INTERVAL_MS, remove)
    },
    async stop() {
      isStopped = true
      cancel()
      await running
    },
  }
}
