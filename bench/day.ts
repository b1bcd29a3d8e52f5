/**
 * Fills a Weir with a day of readings within a minute or two: the job, and who starts its process.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { LoadClient } from './load.ts'

const GENERATOR = fileURLToPath(new URL('./day-generator.ts', import.meta.url))

export interface DayJob {
  port: number
  clients: LoadClient[]
  startMs: number
  intervalMs: number
  /** Of each device. */
  readings: number
  /** Messages of one device in a packet, in the order of their times. */
  messagesPerPacket: number
  /** Packets in flight on each connection. */
  window: number
}

export type DayWord = { word: 'done' } | { word: 'failed'; problem: string }

/** Resolves once everything is acknowledged. */
export async function sendDay(job: DayJob): Promise<void> {
  const child = fork(GENERATOR, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = new Promise<void>((resolve, reject) => {
    child.on('message', (message) => {
      const word = message as DayWord
      if (word.word === 'done') resolve()
      else reject(new Error(`generator: ${word.problem}`))
    })
    child.once('exit', (code) => reject(new Error(`the generator ended with ${String(code)}`)))
  })
  child.send(job)
  await ended
}

/**
 * The time of a reading: its turn, up to 7 ms later; the same in generator and benchmark. Mixed, so
 * that no encoder finds a pattern in it.
 */
export function jitterMs(device: number, reading: number): number {
  let mixed = Math.imul(device * 8209 + reading, 0x9e3779b1)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed >>> 16) & 7
}
