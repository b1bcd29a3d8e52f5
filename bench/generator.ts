/**
 * The load generator, a process of its own: takes one LoadJob over its channel, connects, says so,
 * sends when told to go, checks every acknowledgement, reports. Two ways to send:
 *
 * rate 0   closed loop: what was acknowledged is sent anew at once (in chunks of a quarter window,
 *          so that a server which acknowledges one by one does not force one write a message).
 * rate n   open loop: messages are due by the clock, and their latency counts from when they were
 *          due, not from when the connection had room ("coordinated omission").
 */
import { Histogram } from './histogram.ts'
import { HttpLoadConnection } from './http-connection.ts'
import type { GeneratorWord, LoadConnection, LoadEvents, LoadJob } from './load.ts'
import { MqttLoadConnection } from './mqtt-connection.ts'

/** Open loop: packets that one connection sends at a time. */
const BURST = 20
const DRAIN_MS_MAX = 30_000
const PROGRESS_INTERVAL_MS = 250
/** A dead server's sockets are read to their ends within this. */
const DEATH_MS = 500

const say = (word: GeneratorWord): void => void process.send?.(word)

class Run implements LoadEvents {
  readonly #job: LoadJob
  readonly #connections: LoadConnection[]
  readonly #latency = new Histogram()
  /** Since the last word of progress. */
  #latelyMs = new Histogram()
  /** Open loop: packets that are due and found no room, by connection. */
  readonly #overdue = new Map<LoadConnection, { packets: number; scheduledMs: number }[]>()
  readonly #chunk: number
  #acknowledged = 0
  #acknowledgedInTime = 0
  #sendingSeconds = 0
  #startMs = 0
  #isSending = false
  #isOver = false
  readonly #timers: NodeJS.Timeout[] = []
  #dueTotal = 0
  #turn = 0
  #startCpuUs = 0

  constructor(job: LoadJob) {
    this.#job = job
    this.#chunk = job.protocol === 'http' ? 1 : Math.max(1, Math.floor(job.window / 4))
    const Connection = job.protocol === 'http' ? HttpLoadConnection : MqttLoadConnection
    this.#connections = job.clients.map(
      (client, index) =>
        new Connection(job, client, { seed: job.seed * 1009 + index + 1, events: this }),
    )
  }

  async connect(): Promise<void> {
    await Promise.all(this.#connections.map(({ ready }) => ready))
  }

  start(): void {
    this.#startMs = performance.now()
    this.#startCpuUs = process.cpuUsage().user + process.cpuUsage().system
    this.#isSending = true
    this.#timers.push(setInterval(() => this.#sayProgress(), PROGRESS_INTERVAL_MS))
    const tick = this.#job.end === 'abandon' ? () => this.#offer() : () => this.#tick()
    if (this.#job.rate > 0) this.#timers.push(setInterval(tick, 1))
    else for (const connection of this.#connections) this.#fill(connection)
    const end = (): void => {
      this.#stopSending()
      this.#drain(performance.now())
    }
    this.#timers.push(setTimeout(end, this.#job.seconds * 1000))
  }

  #stopSending(): void {
    this.#isSending = false
    this.#sendingSeconds = (performance.now() - this.#startMs) / 1000
    this.#acknowledgedInTime = this.#acknowledged
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #sayProgress(): void {
    const seconds = (performance.now() - this.#startMs) / 1000
    const latencyMs = this.#latelyMs.summary()
    this.#latelyMs = new Histogram()
    say({ word: 'progress', progress: { acknowledged: this.#acknowledged, seconds, latencyMs } })
  }

  acknowledged(connection: LoadConnection, packets: number, latencyMs: number): void {
    const messages = packets * this.#job.messagesPerPacket
    this.#acknowledged += messages
    this.#latelyMs.add(latencyMs, messages)
    if (performance.now() - this.#startMs >= this.#job.warmUpMs)
      this.#latency.add(latencyMs, messages)
    if (this.#isOver) return
    if (this.#job.end === 'abandon') this.#sendDue(connection)
    else if (this.#job.rate > 0) this.#sendOverdue(connection)
    else if (this.#isSending && connection.room >= this.#chunk) this.#fill(connection)
  }

  failed(problem: string): void {
    if (this.#job.end === 'kill' && this.#isSending) return this.#endByDeath()
    if (this.#isOver) return
    say({ word: 'failed', problem })
    process.exit(1)
  }

  /** What was acknowledged is still in the sockets, and is read before they close. */
  #endByDeath(): void {
    this.#stopSending()
    this.#isOver = true
    setTimeout(() => this.#report(), DEATH_MS)
  }

  #fill(connection: LoadConnection): void {
    connection.send(connection.room, performance.now())
  }

  #tick(): void {
    const nowMs = performance.now()
    const elapsedS = (nowMs - this.#startMs) / 1000
    const perPacket = this.#job.messagesPerPacket
    const due = Math.floor((this.#job.rate * elapsedS) / perPacket)
    while (this.#dueTotal + BURST <= due) {
      const connection = this.#connections[this.#turn]
      this.#turn = (this.#turn + 1) % this.#connections.length
      this.#dueTotal += BURST
      if (connection === undefined) continue
      const scheduledMs = this.#startMs + (this.#dueTotal * perPacket * 1000) / this.#job.rate
      const waiting = this.#overdue.get(connection) ?? []
      waiting.push({ packets: BURST, scheduledMs })
      this.#overdue.set(connection, waiting)
      this.#sendOverdue(connection)
    }
  }

  /** End 'abandon': every connection sends what is due, as far as it has room. */
  #offer(): void {
    const elapsedS = (performance.now() - this.#startMs) / 1000
    const { rate, messagesPerPacket } = this.#job
    this.#dueTotal = Math.floor((rate * elapsedS) / messagesPerPacket)
    for (const connection of this.#connections) this.#sendDue(connection)
  }

  #sendDue(connection: LoadConnection): void {
    if (!this.#isSending || connection.room < this.#chunk) return
    const due = Math.floor(this.#dueTotal / this.#connections.length) - connection.sent
    if (due > 0) connection.send(Math.min(due, connection.room), performance.now())
  }

  #sendOverdue(connection: LoadConnection): void {
    const waiting = this.#overdue.get(connection)
    while (waiting !== undefined && connection.room > 0) {
      const block = waiting[0]
      if (block === undefined) return
      const packets = Math.min(block.packets, connection.room)
      connection.send(packets, block.scheduledMs)
      block.packets -= packets
      if (block.packets === 0) waiting.shift()
    }
  }

  #drain(sinceMs: number): void {
    const isIdle = this.#connections.every(
      (connection) =>
        connection.outstanding === 0 && (this.#overdue.get(connection)?.length ?? 0) === 0,
    )
    if (isIdle) return this.#report()
    if (performance.now() - sinceMs > DRAIN_MS_MAX)
      return this.failed(`not everything was acknowledged within ${DRAIN_MS_MAX} ms`)
    setTimeout(() => this.#drain(sinceMs), 2)
  }

  #report(): void {
    this.#isOver = true
    for (const connection of this.#connections) connection.close()
    const perPacket = this.#job.messagesPerPacket
    const connections = this.#connections.map(({ sent, outstanding }) => ({
      sent: sent * perPacket,
      acknowledged: (sent - outstanding) * perPacket,
    }))
    const sentTotal = connections.reduce((sum, { sent }) => sum + sent, 0)
    const seconds = (performance.now() - this.#startMs) / 1000
    const { user, system } = process.cpuUsage()
    say({
      word: 'done',
      report: {
        messages: this.#acknowledged,
        seconds,
        rate: this.#acknowledgedInTime / this.#sendingSeconds,
        latencyMs: this.#latency.summary(),
        cpu: (user + system - this.#startCpuUs) / 1e6 / seconds,
        offered: this.#job.rate > 0 ? this.#dueTotal * perPacket : sentTotal,
        connections,
      },
    })
    process.disconnect()
  }
}

process.once('message', (job) => {
  const run = new Run(job as LoadJob)
  void run.connect().then(() => {
    say({ word: 'connected' })
    process.once('message', () => run.start())
  })
})
