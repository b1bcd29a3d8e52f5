/**
 * A cluster whose stream stage is a job of Flink, under a load of numbered readings, and what can
 * happen to it. Behind each fault all of it must be right: see `flink-right.ts`.
 */
import assert from 'node:assert/strict'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { until } from '../system/weir-process.ts'
import { Installation, type Owner } from './cluster-process.ts'
import { accessOf, restartService } from './cluster.ts'
import { checkpoints, JOB_MANAGER, TASK_MANAGER } from './flink-fixture.ts'
import {
  assertAlertsRight,
  assertTopicsRight,
  assertWindowsRight,
  type OnTopics,
  type TopicTotals,
} from './flink-right.ts'
import { open as openKafka } from './kafka-fixture.ts'
import { METRIC } from './numbered-device.ts'
import { NumberedLoad, type LoadTotals } from './numbered-load.ts'

const ROLES = ['gateway', 'stream', 'writer', 'control'] as const
const WINDOWS_MS = [10_000, 60_000]

const PIPELINE = `
version: 1
types:
  pump:
    schemas:
      1:
        ${METRIC}: { unit: "1" }
        temperature: { unit: °C }
        pressure: { unit: bar, required: false }
time: { disorder: 1s, future: 5m, allowedLateness: 2h, idleTimeout: 2s, alertStaleness: 1d }
windows: [10s, 1m]
detectors:
  - { id: odd, type: pump, metric: temperature, zscore: { n: 64, threshold: 5 } }
rules:
  - { id: hot, type: pump, when: temperature > 90 }
  - { id: long, type: pump, when: temperature > 70, for: 5s }
`
const ADDED = 'cold'
const MORE_RULES = `${PIPELINE}  - { id: ${ADDED}, type: pump, when: temperature < 25 }\n`

/** A slow wave over 16 s, and now and then one far above it. */
const temperatureOf = (value: number): number =>
  60 + 40 * Math.sin((2 * Math.PI * value) / 800) + (value % 997 === 996 ? 300 : 0)

/**
 * Seldom, so that a late one is among the readings that a series is remembered by, and changes its
 * window; windows of the others are computed from storage then.
 */
const pressureOf = (value: number): number | undefined =>
  value % 25 === 24 ? value / 7 : undefined

function metricsOf(value: number): Record<string, number> {
  const pressure = pressureOf(value)
  return { temperature: temperatureOf(value), ...(pressure !== undefined && { pressure }) }
}

/** Two readings a message: 3,200 a second, as far as the machine lets them. */
const LOAD = { devices: 32, everyMs: 20 }
/** Behind the last reading so much is said that all windows close. */
const LAST_AHEAD_MS = 70_000
/** Beyond the first window that is open then. */
const LATE = { lateEvery: 100, lateMs: 15_000 }
/** Between a fault and its end. */
const PAUSE_MS = 3000
/** Stored so soon after it was sent, a reading is on its usual way again. */
const FRESH_MS = 5000
const RIGHT_DEADLINE_MS = 150_000

export interface FaultTotals extends LoadTotals, TopicTotals {
  /** That were acknowledged; messages have two or three. */
  readings: number
  /** From the fault until readings were stored within 5 s of being sent again. */
  againMs: number
  /** From the last PUBACK until all of it was compared. */
  comparedMs: number
  /** In the history of alerts. */
  episodes: number
}

export interface FaultOptions {
  /** Before the fault and behind it. */
  steadyMs: number
  /** Checkpoints cannot be written for so long. */
  awayMs: number
  /** A TaskManager dies meanwhile. */
  isWorse: boolean
}

type Fault = (cluster: FlinkCluster, options: FaultOptions) => Promise<void>

export class FlinkCluster {
  readonly at: Installation
  readonly sending: NumberedLoad
  /** Of this job alone. */
  readonly checkpoints: string
  readonly #on: OnTopics

  static async open(t: Owner): Promise<FlinkCluster> {
    const at = await Installation.open(t, { pipeline: PIPELINE, flink: { parallelism: 2 } })
    await Promise.all(ROLES.map((role) => at.start(role)))
    const ports = (): number[] => [at.process('gateway').mqtt]
    const sending = await NumberedLoad.begin(t, at, at.process('control'), {
      ...{ ...LOAD, ports, type: 'pump' },
      live: {
        lastAheadMs: LAST_AHEAD_MS,
        live: LATE,
        metricsOf,
      },
    })
    const kafka = await openKafka()
    t.after(() => kafka.close())
    const cluster = new FlinkCluster({ at, sending, kafka })
    await cluster.untilFresh()
    return cluster
  }

  private constructor(of: { at: Installation; sending: NumberedLoad; kafka: Kafka }) {
    const { at, sending, kafka } = of
    this.at = at
    this.sending = sending
    this.checkpoints = join(checkpoints, at.name)
    const { name: prefix, partitions } = at
    this.#on = { kafka, prefix, partitions, pipeline: PIPELINE, largestMs: Math.max(...WINDOWS_MS) }
  }

  /** Until every device's readings are stored a short time after they were sent. */
  async untilFresh(deadlineMs = RIGHT_DEADLINE_MS): Promise<void> {
    let ageMs = Infinity
    await until(
      'readings are stored soon after they were sent',
      async () => {
        // While PostgreSQL is away there is no answer.
        const rows = await this.at.ask<{ oldest: number; series: number }>(NEWEST).catch(() => [])
        const { oldest = -Infinity, series = 0 } = rows[0] ?? {}
        ageMs = Date.now() - oldest
        await delay(200)
        return series === LOAD.devices && ageMs < FRESH_MS
      },
      deadlineMs,
    ).catch((cause: unknown) => {
      throw new Error(`stored ${ageMs} ms late\n${this.at.output}`, { cause })
    })
  }

  /** A rule that the job has from about now on. */
  addRule(ruleId: string, pipeline: string): void {
    this.#on.added = { ruleId, pipeline, sinceUs: Date.now() * 1000 }
  }

  /** Sends no more, and compares everything. */
  async finish(againMs: number): Promise<FaultTotals> {
    const totals = await this.sending.settle()
    const startMs = performance.now() - totals.storedAfterMs
    await this.at.process('gateway').stop()
    const control = this.at.process('control')
    const topics = await assertTopicsRight(this.#on)
    const { devices } = this.sending
    const sent = {
      ...{ devices, windowsMs: WINDOWS_MS },
      metrics: {
        [METRIC]: (value: number) => value,
        temperature: temperatureOf,
        pressure: pressureOf,
      },
    }
    const windows = await assertWindowsRight(control, sent)
    const readings = devices
      .flatMap(({ timesMs }) => [...timesMs.keys()])
      .reduce((sum, value) => sum + 1 + Object.keys(metricsOf(value)).length, 0)
    const ids = devices.map(({ id }) => id)
    const episodes = await assertAlertsRight(control, this.#on, ids)
    // It would start again what the test ends behind it.
    await this.at.process('stream').stop()
    const comparedMs = Math.round(performance.now() - startMs)
    return { ...totals, ...topics, readings, windows, episodes, againMs, comparedMs }
  }
}

/** The series that is stored least far, ms. */
const NEWEST = `SELECT min(newest)::float8 AS oldest, count(newest)::int AS series FROM (
  SELECT (SELECT time_us / 1000 FROM reading WHERE series = id ORDER BY time_us DESC LIMIT 1)
    AS newest FROM series WHERE metric = '${METRIC}') AS each`

export const FAULTS = {
  'no fault': async () => undefined,
  'a TaskManager dies': async ({ at }) => {
    await at.killService('flink', TASK_MANAGER)
    await delay(PAUSE_MS)
    await restartService('flink')
  },
  'the JobManager dies, and the role finds the job absent': async ({ at }) => {
    await at.killService('flink', JOB_MANAGER)
    await delay(PAUSE_MS)
    await restartService('flink')
  },
  'checkpoints cannot be written': async (cluster, { awayMs, isWorse }) => {
    const { at, checkpoints: folder } = cluster
    const away = `${folder}-away`
    renameSync(folder, away)
    writeFileSync(folder, 'this is no folder')
    await delay(awayMs / 2)
    if (isWorse) {
      await at.killService('flink', TASK_MANAGER)
      await restartService('flink')
    }
    await delay(awayMs / 2)
    // A job that runs needs none of them.
    if (!isWorse) await cluster.untilFresh(FRESH_MS)
    rmSync(folder)
    renameSync(away, folder)
  },
  'a broker dies': async ({ at }) => {
    await at.killService('kafka', 1 % at.brokers.length)
    await delay(PAUSE_MS)
    await restartService('kafka')
  },
  'the job is upgraded': async (cluster) => {
    const file = cluster.at.writePipeline('more.yaml', MORE_RULES)
    await cluster.at.flinkDoes('upgrade', '--pipeline', file)
    cluster.addRule(ADDED, MORE_RULES)
  },
  'the writer dies': async ({ at }) => {
    await at.kill('writer')
    await delay(PAUSE_MS)
    await at.start('writer')
  },
  'everything dies, and the role goes on with the job': async (cluster) => {
    await everythingDies(cluster)
    await Promise.all(ROLES.map((role) => cluster.at.start(role)))
  },
  'everything dies, and somebody types --resume': async (cluster) => {
    await everythingDies(cluster)
    const file = cluster.at.writePipeline('same.yaml', PIPELINE)
    assert.match(
      await cluster.at.flinkDoes('submit', '--resume', '--pipeline', file),
      /\/chk-\d+\.\n/,
    )
    await Promise.all(ROLES.map((role) => cluster.at.start(role)))
  },
} as const satisfies Record<string, Fault>

export type FaultName = keyof typeof FAULTS

const SERVICES = ['kafka', 'postgres', 'flink'] as const

async function everythingDies({ at }: FlinkCluster): Promise<void> {
  await Promise.all([
    ...ROLES.map((role) => at.kill(role)),
    ...SERVICES.map((service) => at.killService(service)),
  ])
  await delay(PAUSE_MS)
  for (const service of SERVICES) await restartService(service)
}

/** Throws when anything is lost, doubled or miscounted. */
export async function hurtFlink(
  t: Owner,
  name: FaultName,
  options: FaultOptions,
): Promise<FaultTotals> {
  const cluster = await FlinkCluster.open(t)
  await delay(options.steadyMs)
  const startMs = performance.now()
  const fault: Fault = FAULTS[name]
  await fault(cluster, options)
  await cluster.untilFresh()
  const againMs = Math.round(performance.now() - startMs)
  await delay(options.steadyMs)
  return cluster.finish(againMs)
}

/** Of Kafka, here. */
export const brokerCount = (): number => (accessOf('kafka')?.['brokers'] ?? '').split(',').length
