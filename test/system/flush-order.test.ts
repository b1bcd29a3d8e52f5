/**
 * The flush is a real one: between the write of a message's entry and the write of its PUBACK the
 * process asked the disk to flush that very file, and the disk had said that it is done. `kill -9`
 * cannot show this, since what is in the kernel's cache survives it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACKNOWLEDGED, openMqttDevice, topicOf } from './mqtt-device.ts'
import { cannotTrace, hexOf, Trace, type TraceEvent } from './syscall-trace.ts'
import { makeFolder, until, WeirProcess } from './weir-process.ts'

const MESSAGES = 50
const CALLS = ['pwrite64', 'fdatasync', 'write', 'writev', 'sendmsg', 'sendto']
const LOG_FILE = /^\d+<(?<path>[^>]*\/log\/\d+\.segment)>/

const skip = await cannotTrace()

test(
  'every PUBACK is written behind a finished fdatasync of its entry’s file',
  { skip },
  async (t) => {
    const folder = await makeFolder(t)
    const weir = await WeirProcess.start({ folder })
    const token = await weir.register({ id: 'one' })
    const client = openMqttDevice({ id: 'one', token, version: 4, port: () => weir.mqtt })
    t.after(() => client.end(true))
    await until('the device is connected', () => client.connected)
    const packetIds: number[] = []
    client.on('packetsend', (packet) => {
      if (packet.cmd === 'publish') packetIds.push(packet.messageId ?? 0)
    })
    const trace = await Trace.attach(weir.running.child.pid!, CALLS)
    for (let i = 0; i < MESSAGES; i++) {
      // A text that is new stands in its entry as it is.
      const payload = JSON.stringify({ serial: serialOf(i) })
      await client.publishAsync(topicOf('one'), payload, ACKNOWLEDGED)
    }
    const events = await trace.end()
    await weir.stop()
    assert.equal(packetIds.length, MESSAGES)
    let from = 0
    let flushes = 0
    for (const [i, packetId] of packetIds.entries()) {
      const path = writeOf(events, i)
      const puback = events.findIndex(
        (event, at) => at >= from && event.at === 'begin' && isPuback(event, packetId),
      )
      assert.ok(puback > 0, `message ${i}: no PUBACK in the trace`)
      assert.ok(path.at < puback, `message ${i}: acknowledged before its entry was written`)
      const flush = findFlush(events.slice(path.at, puback), path.file)
      assert.ok(flush, `message ${i}: acknowledged without a finished fdatasync of ${path.file}`)
      flushes += countFlushes(events.slice(from, puback))
      from = puback
    }
    assert.ok(flushes >= MESSAGES, `${flushes} flushes for ${MESSAGES} groups`)
    t.diagnostic(`${flushes} fdatasync of the log for ${MESSAGES} messages one after another`)
  },
)

const serialOf = (message: number): string => `serial-${String(message).padStart(6, '0')}`

/** Where the entry with this message's text had been written to the log. */
function writeOf(events: TraceEvent[], message: number): { at: number; file: string } {
  const hex = hexOf(serialOf(message))
  const at = events.findIndex(
    ({ at, call, text }) =>
      at === 'end' && call === 'pwrite64' && LOG_FILE.test(text) && text.includes(hex),
  )
  assert.ok(at >= 0, `message ${message} was never written to the log`)
  return { at, file: LOG_FILE.exec(events[at]!.text)!.groups!['path']! }
}

/** [MQTT-3.4.1]: PUBACK, two bytes more, the packet identifier. */
const isPuback = ({ call, text }: TraceEvent, id: number): boolean =>
  ['write', 'writev', 'sendmsg', 'sendto'].includes(call) &&
  text.includes(`"${hexOf(Uint8Array.of(0x40, 2, id >> 8, id & 255))}"`)

/** Whether a flush of the file began and ended within these events. */
function findFlush(events: TraceEvent[], file: string): boolean {
  const threads = new Set<number>()
  for (const { at, call, text, thread } of events) {
    if (call !== 'fdatasync' || !text.includes(`<${file}>`)) continue
    if (at === 'begin') threads.add(thread)
    else if (threads.has(thread)) return true
  }
  return false
}

const countFlushes = (events: TraceEvent[]): number =>
  events.filter(({ at, call, text }) => at === 'end' && call === 'fdatasync' && LOG_FILE.test(text))
    .length
