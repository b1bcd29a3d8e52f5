/** Rules and facts change between two messages of a partition, wherever its reads are cut. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeFrame, type DeviceFacts, type RuleChange } from '../batch/batch.ts'
import { encodeRules, MessageEncoder } from '../entries/entries.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import { anyScript, frameOf, LIMITS, PLAN, SERIES, type ScriptFrame } from '../stream/script.ts'
import { PartitionStream } from './partition-stream.ts'

/** An entry of a partition, and what the stream is to make of it; of a tick nothing. */
interface Written {
  value: Uint8Array
  says: string | undefined
}

const encoder = new MessageEncoder({ partitions: 1 })
encoder.encode(decodeFrame(frameOf({ baseUs: 1, messages: [] }, true)))
const nobody = decodeFrame(frameOf({ baseUs: 1, messages: [] }))

const namesOf = new Map(SERIES.map(({ device, deviceId }) => [device, deviceId]))
const messageSays = (deviceId: string | undefined, eventUs: number): string =>
  `${deviceId} at ${eventUs}`
const factsSay = ({ deviceId, tags }: DeviceFacts): string => `${deviceId} has ${tags['line']}`

/** A tick, then the messages of the frame. */
function written(frame: ScriptFrame): Written[] {
  const { baseUs, messages } = frame
  const [tick] = encoder.encode({ ...nobody, baseIngestTimeUs: baseUs })
  const entries = messages.length > 0 ? encoder.encode(decodeFrame(frameOf(frame))) : []
  const says = messages.map(({ device, eventUs }) => messageSays(namesOf.get(device), eventUs))
  return [
    { value: tick!.value, says: undefined },
    ...entries.map(({ value }, at) => ({ value, says: says[at] })),
  ]
}

const anyFacts = fc.tuple(fc.nat(3), fc.string()).map(([device, line]): Written => {
  const facts: DeviceFacts = {
    ...{ device, tenant: 'default', deviceId: namesOf.get(device)!, deviceType: 'pump' },
    ...{ location: undefined, tags: { line }, parent: undefined },
  }
  const [entry] = encoder.encode({
    ...nobody,
    definitions: { series: [], texts: [], devices: [facts] },
  })
  return { value: entry!.value, says: factsSay(facts) }
})

const anyRules = fc.nat(9).map((version): Written => {
  const changes: RuleChange[] = [{ remove: { id: 'rule', version } }]
  return { value: encodeRules(changes, 1), says: JSON.stringify(changes) }
})

/** A script with changes at any place, also several at one. */
const anyEntries = fc
  .tuple(anyScript, fc.array(fc.tuple(fc.nat(), fc.oneof(anyFacts, anyRules)), { maxLength: 20 }))
  .map(([script, changes]) => {
    const all = script.flatMap(written)
    for (const [place, change] of changes) all.splice(place % (all.length + 1), 0, change)
    return all
  })

/** What the processor was given, in its order, by reads of these lengths. */
function seen(entries: readonly ReadEntry[], reads: readonly number[]): string[] {
  const told: string[] = []
  const names = new Map<number, string>()
  const stream = new PartitionStream({
    ...{ partition: 0, eventPartition: 0, plan: PLAN, limits: { ...LIMITS, textsMax: 100 } },
    malformed: (_, error) => assert.fail(error),
    tap: {
      define: () => {},
      tap({ frame }) {
        const { definitions, messageCount, device, eventTimeUs } = decodeFrame(frame)
        const { series = [], devices = [], rules } = definitions ?? {}
        for (const one of [...series, ...devices]) names.set(one.device, one.deviceId)
        told.push(...devices.map(factsSay), ...(rules === undefined ? [] : [JSON.stringify(rules)]))
        for (let at = 0; at < messageCount; at++)
          told.push(messageSays(names.get(device[at]!), eventTimeUs[at]!))
      },
    },
  })
  for (let at = 0; stream.nextOffset < entries.length; at++) {
    const { nextOffset } = stream
    stream.process(entries.slice(nextOffset, nextOffset + (reads[at] ?? entries.length)))
  }
  return told
}

test('E5 property: a change is met by the messages behind it and by no other, however reads are cut', () => {
  fc.assert(
    fc.property(
      anyEntries,
      fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 40 }),
      (all, reads) => {
        const entries = all.map(({ value }, offset) => ({
          ...{ offset, key: undefined, value, timestampMs: 1 },
        }))
        const expected = all.flatMap(({ says }) => says ?? [])
        assert.ok(String(seen(entries, reads)) === String(expected))
      },
    ),
    { numRuns: 200 },
  )
})
