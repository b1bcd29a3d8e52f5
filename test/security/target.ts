/**
 * One real process under attack, and what every row of the attack table asks for besides its own
 * answer: the process lives, its memory stays, another client is still served, and a metric says
 * what happened. A witness publishes through the whole attack.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { MqttClient } from 'mqtt'
import { ACKNOWLEDGED, openMqttDevice, topicOf } from '../system/mqtt-device.ts'
import { makeFolder, until, WeirProcess, type StartOptions } from '../system/weir-process.ts'

const GROWTH_BYTES_MAX = 50 * 2 ** 20
const WITNESS_INTERVAL_MS = 20
/** Of publish to PUBACK: generous, since other tests share the disk and the processors. */
const WITNESS_MEDIAN_MS = 500
const WITNESS_LONGEST_MS = 5000
const WARM_UP_MESSAGES = 300

/** Samples of `/metrics` as they are printed, and by how much they must have risen at least. */
export type Counted = Record<string, number>

export const disconnects = (code: string, count: number): Counted => ({
  [`weir_gateway_disconnects_total{code="${code}"}`]: count,
})

export class Target {
  readonly weir: WeirProcess
  readonly #witness: MqttClient

  private constructor(weir: WeirProcess, witness: MqttClient) {
    this.weir = weir
    this.#witness = witness
  }

  /** Call at a file's top; ends with the file. */
  static async start(
    context: { after(clean: () => Promise<void>): void },
    options: Omit<StartOptions, 'folder'> = {},
  ): Promise<Target> {
    const weir = await WeirProcess.start({ folder: await makeFolder(context), ...options })
    const token = await weir.register({ id: 'witness' })
    const witness = openMqttDevice({ id: 'witness', token, version: 5, port: () => weir.mqtt })
    context.after(async () => void witness.end(true))
    await until('the witness is connected', () => witness.connected)
    const target = new Target(weir, witness)
    // What the process allocates once, it has allocated before the first attack.
    for (let i = 0; i < WARM_UP_MESSAGES; i++) await target.#publish()
    await target.metrics()
    return target
  }

  get pid(): number {
    return this.weir.running.child.pid ?? 0
  }

  /** Registers a device and returns its credentials. */
  async device(
    id: string,
    more: { gateway?: boolean; parent?: string } = {},
  ): Promise<Credentials> {
    return { id, token: await this.weir.register({ id, ...more }) }
  }

  async metrics(): Promise<Map<string, number>> {
    const { text } = await this.weir.api('/metrics')
    return new Map(
      [...text.matchAll(/^([a-z_]+(?:\{.*\})?) (\S+)$/gm)].map(([, name = '', value]) => [
        name,
        Number(value),
      ]),
    )
  }

  /** Runs the attack and holds the process to what every row asks for. */
  async survives(attack: () => Promise<void>, counted: Counted): Promise<void> {
    const before = await this.metrics()
    const memory = watchMemory(this.pid)
    const state = { isOver: false }
    const witnessed = this.#watch(state)
    try {
      await attack()
    } finally {
      state.isOver = true
    }
    const latenciesMs = await witnessed
    assert.ok(!this.weir.running.hasEnded, `the process ended\n${this.weir.running.output}`)
    assert.equal((await this.weir.api('/ready')).status, 200)
    const grownBytes = memory()
    assert.ok(grownBytes < GROWTH_BYTES_MAX, `grown by ${Math.round(grownBytes / 2 ** 20)} MiB`)
    const sorted = latenciesMs.toSorted((a, b) => a - b)
    const [median = 0, longest = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)]
    const isServed = median < WITNESS_MEDIAN_MS && longest < WITNESS_LONGEST_MS
    assert.ok(isServed, `the witness waited ${median} ms for a PUBACK, and once ${longest} ms`)
    await this.#check(before, counted)
  }

  async #check(before: Map<string, number>, counted: Counted): Promise<void> {
    await until('the metrics say what happened', async () => {
      const after = await this.metrics()
      return Object.entries(counted).every(
        ([name, least]) => (after.get(name) ?? 0) - (before.get(name) ?? 0) >= least,
      )
    }).catch(async (error: unknown) => {
      const now = [...(await this.metrics())].filter(([name]) => name.includes('code='))
      throw new Error(JSON.stringify({ counted, now }), { cause: error })
    })
  }

  /** How long the witness waited for each of its PUBACKs. */
  async #watch(state: { isOver: boolean }): Promise<number[]> {
    const latenciesMs: number[] = []
    while (!state.isOver || latenciesMs.length === 0) {
      const startMs = performance.now()
      await this.#publish()
      latenciesMs.push(performance.now() - startMs)
      await delay(WITNESS_INTERVAL_MS)
    }
    return latenciesMs
  }

  async #publish(): Promise<void> {
    await this.#witness.publishAsync(topicOf('witness'), '{"seen":1}', ACKNOWLEDGED)
  }
}

export interface Credentials {
  id: string
  token: string
}

/** Declares one row's test against the target. */
export function rowsAgainst(target: Target) {
  return (
    row: number,
    text: string,
    counted: Counted,
    // oxlint-disable-next-line max-params -- reads as the table's row does
    attack: () => Promise<void>,
  ): void => void test(`row ${row}: ${text}`, () => target.survives(attack, counted))
}

const hasProc = process.platform === 'linux'

/** Starts to watch the peak of resident memory; the answer is by how many bytes it has grown. */
function watchMemory(pid: number): () => number {
  if (!hasProc) return () => 0
  // Makes the present size the new peak (proc(5)).
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
  const startBytes = statusBytes(pid, 'VmRSS')
  return () => statusBytes(pid, 'VmHWM') - startBytes
}

function statusBytes(pid: number, key: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1]) * 1024
}

/** How many files the process has open; undefined where there is no /proc. */
export const openFiles = (pid: number): number | undefined =>
  hasProc ? readdirSync(`/proc/${pid}/fd`).length : undefined
