/** State of devices that were not defined: nothing of it comes back under the same numbers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeFrame, encodeFrame, type SeriesDefinition } from '../batch/batch.ts'
import { StreamProcessor } from './processor.ts'
import { frameOf, LIMITS, messageAt, METRIC_A, PLAN, SERIES, TEXTS, timeAt } from './script.ts'
import type { ScriptMessage } from './script.ts'
import type { StreamOutput } from './stream.ts'

const STAYS = 0
const GOES = 1

const ofDevice = (device: number): SeriesDefinition[] =>
  SERIES.filter((one) => one.device === device)

const says = (device: number, atS: number, value: number, identity = 0): ScriptMessage =>
  messageAt(atS, { device, identity, readings: [[METRIC_A, value]] })

/** Values that a detector knows, with one that it finds odd only after them. */
const series = (device: number, fromS: number): ScriptMessage[] =>
  [10, 12, 10, 12, 10, 12].map((value, at) => says(device, fromS + at, value))

/** What came before: windows open and closed, a late partial, an episode, identities. */
const BEFORE: readonly [number, ScriptMessage[]][] = [
  [10, [...series(STAYS, 0), ...series(GOES, 0)]],
  [400, [says(STAYS, 400, 20), says(GOES, 399, 99), says(GOES, 398, 20, 7)]],
  [401, [says(GOES, 20, 30), says(STAYS, 401, 20)]],
]

/** Another device under the number of the one that went. */
const AFTER: readonly [number, ScriptMessage[]][] = [
  [402, [says(GOES, 21, 30), says(GOES, 398, 20, 7), says(STAYS, 402, 20)]],
  [404, [says(GOES, 399, 99), says(GOES, 403, 1000)]],
  [460, []],
  [800, [says(STAYS, 800, 21)]],
]

type Parts = ReturnType<StreamProcessor['checkpoint']>['parts']

/** What a restart reads back. */
const merged = (...all: Parts[]): Parts => [
  ...new Map(all.flat().map((part) => [part.name, part])).values(),
]

function partsBefore(isThere: (message: ScriptMessage) => boolean): Parts {
  const processor = new StreamProcessor({ plan: PLAN, limits: LIMITS })
  for (const [at, [atS, messages]] of BEFORE.entries()) {
    const frame = { baseUs: timeAt(atS), messages: messages.filter(isThere) }
    processor.process(at, frameOf(frame, at === 0))
  }
  return processor.checkpoint(BEFORE.length).parts
}

function restored(parts: Parts, definitions: readonly SeriesDefinition[]): StreamProcessor {
  const processor = new StreamProcessor({ plan: PLAN, limits: LIMITS })
  processor.restore(parts, { series: [...definitions], texts: TEXTS })
  return processor
}

const newcomer = ofDevice(GOES).map((one) => ({ ...one, deviceId: 'newcomer' }))

interface Case {
  /** Otherwise the partition has nobody left. */
  hasStaying: boolean
  isRestarted: boolean
}

function outputsAfter(parts: Parts, { hasStaying, isRestarted }: Case): StreamOutput[] {
  const staying = hasStaying ? ofDevice(STAYS) : []
  let processor = restored(parts, staying)
  if (isRestarted) {
    // Its number is given, and nothing of it is heard before the next restart.
    const frame = decodeFrame(frameOf({ baseUs: timeAt(401.5), messages: [] }))
    processor.process(5, encodeFrame({ ...frame, definitions: { series: newcomer, texts: [] } }))
    const saved = merged(parts, processor.checkpoint(5).parts)
    processor = restored(saved, [...staying, ...newcomer])
  }
  return AFTER.map(([atS, messages], at) => {
    const heard = messages.filter(({ device }) => hasStaying || device === GOES)
    const frame = decodeFrame(frameOf({ baseUs: timeAt(atS), messages: heard }))
    const definitions = { series: newcomer, texts: [] }
    return processor.process(10 + at, encodeFrame({ ...frame, definitions }))
  })
}

const shown = ({ fates, partials, ruleEvents, anomalies, dirty }: StreamOutput): string =>
  JSON.stringify([[...(fates ?? [])], [...(partials ?? [])], ruleEvents, anomalies, dirty])

for (const [when, of] of Object.entries({
  'at once': { hasStaying: true, isRestarted: false },
  'after another restart': { hasStaying: true, isRestarted: true },
  'where nobody stayed': { hasStaying: false, isRestarted: true },
})) {
  test(`what is not defined is not restored, and its numbers are free ${when}`, () => {
    const divided = outputsAfter(
      partsBefore(() => true),
      of,
    )
    const isStaying = ({ device }: ScriptMessage): boolean => device === STAYS
    const never = outputsAfter(partsBefore(isStaying), of)
    assert.deepEqual(divided.map(shown), never.map(shown))
    // It has said too little for that.
    const odd = divided.flatMap(({ anomalies }) => anomalies)
    assert.deepEqual(
      odd.filter(({ deviceId }) => deviceId === 'newcomer'),
      [],
    )
    const events = divided.flatMap(({ ruleEvents }) => ruleEvents)
    assert.deepEqual([...new Set(events.map(({ deviceId }) => deviceId))], ['newcomer'])
  })
}
