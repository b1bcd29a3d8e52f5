import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TakenSources } from './taken-sources.ts'

const MINUTE_MS = 60_000
const NOW_MS = 1_785_542_340_000

/** Writers of one partition, as E2 promises them: any speed, restarts and outages. */
interface Script {
  /** By telemetry offset: which writer's message it is; -1 is a tick, or what gives no entry. */
  owners: number[]
  /** Telemetry offsets from one message to the next. */
  spacing: number
  steps: Step[]
}

type Step =
  | { kind: 'write'; writer: number; messages: number; stepMs: number }
  | { kind: 'restart'; back: number; outageMs: number }
  | { kind: 'parse' }

const WRITERS = 4
/** A writer is at most so many telemetry offsets behind the one that is furthest. */
const LEAD_MAX = 80
const STEP_MS_MAX = 20
/** Above what the others take for a lead, which is what writers may be silent for. */
const LAG_MS_MAX = 900

const aWrite = fc.record({
  ...{ kind: fc.constant('write' as const), writer: fc.nat(WRITERS - 1) },
  ...{ messages: fc.integer({ min: 1, max: 30 }), stepMs: fc.nat(STEP_MS_MAX) },
})
const aRestart = fc.record({
  ...{ kind: fc.constant('restart' as const), back: fc.nat(150) },
  outageMs: fc.constantFrom(0, 1000, 1e9),
})
const aParse = fc.constant({ kind: 'parse' as const })

const aScript = (spacing: fc.Arbitrary<number>): fc.Arbitrary<Script> =>
  fc.record({
    owners: fc.array(fc.integer({ min: -1, max: WRITERS - 1 }), {
      ...{ minLength: 300, maxLength: 1500, size: 'max' as const },
    }),
    spacing,
    steps: fc.array(
      fc.oneof(
        { weight: 30, arbitrary: aWrite },
        { weight: 1, arbitrary: aRestart },
        { weight: 3, arbitrary: aParse },
      ),
      { minLength: 50, maxLength: 400, size: 'max' },
    ),
  })

/** Calls `entry` for each that comes; `parse` where the lake ends and begins. */
function run(
  { owners, spacing, steps }: Script,
  on: { entry: (source: number, timestampMs: number) => void; parse: () => void },
): void {
  const next = Array.from({ length: WRITERS }, (_, writer) => owners.indexOf(writer))
  /** Of all that are below the end. */
  const place = (writer: number): number => (next[writer] === -1 ? owners.length : next[writer]!)
  const lowest = (): number => Math.min(...next.map((_, writer) => place(writer)))
  let nowMs = NOW_MS
  let checkpoint = 0
  for (const step of steps) {
    if (step.kind === 'parse') on.parse()
    else if (step.kind === 'restart') {
      nowMs += step.outageMs
      // Never before the last checkpoint, and that is never ahead of any writer.
      checkpoint = Math.max(checkpoint, lowest() - step.back)
      for (let writer = 0; writer < WRITERS; writer++) {
        next[writer] = owners.indexOf(writer, checkpoint)
      }
    } else {
      const { writer, messages, stepMs } = step
      for (let count = 0; count < messages; count++) {
        const at = place(writer)
        if (at >= owners.length || at > lowest() + LEAD_MAX) break
        nowMs += stepMs
        on.entry(at * spacing, nowMs)
        next[writer] = owners.indexOf(writer, at + 1)
      }
    }
  }
}

test('T1 T2 T3 T5 each message once: disorder, outages, restarts, parsed anywhere', () => {
  let [repeats, closed] = [0, 0]
  fc.assert(
    fc.property(aScript(fc.constantFrom(1, 3, 1000)), (script) => {
      const limits = { lagMsMax: LAG_MS_MAX, chunksMax: 1024 }
      let taken = new TakenSources(0, limits)
      const seen = new Set<number>()
      run(script, {
        entry: (source, timestampMs) => {
          assert.equal(taken.has(source), seen.has(source))
          const isFresh = taken.add(source, timestampMs)
          assert.equal(isFresh, !seen.has(source), `source ${source}`)
          if (!isFresh) repeats++
          seen.add(source)
        },
        parse: () => {
          const text = taken.encode()
          taken = TakenSources.parse(text, limits)
          assert.equal(taken.encode(), text)
        },
      })
      assert.equal(taken.uncertain, 0)
      if (taken.lowSource > 0) closed++
    }),
    { numRuns: 300 },
  )
  assert.ok(repeats > 1000, `${repeats} repeats`)
  assert.ok(closed > 30, `gaps were closed in ${closed} of 300`)
})

test('T4 with too little memory nothing is lost, and what may come twice is counted', () => {
  let [twice, forgot] = [0, 0]
  fc.assert(
    fc.property(aScript(fc.constantFrom(1000, 9000, 40_000)), (script) => {
      const limits = { lagMsMax: LAG_MS_MAX, chunksMax: 2 }
      let taken = new TakenSources(0, limits)
      let uncertain = 0
      const seen = new Set<number>()
      run(script, {
        entry: (source, timestampMs) => {
          const before = taken.uncertain
          const isFresh = taken.add(source, timestampMs)
          const isUncertain = taken.uncertain > before
          if (!seen.has(source)) assert.ok(isFresh, `source ${source} is lost`)
          if (seen.has(source) && isFresh) {
            assert.ok(isUncertain, `source ${source} is there twice, and not counted`)
            twice++
          }
          seen.add(source)
          if (isUncertain) uncertain++
        },
        parse: () => (taken = TakenSources.parse(taken.encode(), limits)),
      })
      if (uncertain > 0) forgot++
    }),
    { numRuns: 300 },
  )
  assert.ok(twice > 100 && forgot > 30, `${twice} twice, in ${forgot} of 300`)
})

test('whatever comes, as long as no gap is closed it is a plain set', () => {
  const limits = { lagMsMax: Infinity, chunksMax: 1024 }
  const source = fc.oneof(fc.nat(100), fc.nat(100_000), fc.integer({ min: 0, max: 2 ** 45 }))
  const entry = fc.record({ source, timestampMs: fc.integer({ min: -1, max: 2 ** 41 }) })
  fc.assert(
    fc.property(
      fc.nat(50),
      fc.array(entry, { maxLength: 200, size: 'max' }),
      fc.nat(),
      (lowSource, entries, parseAt) => {
        let taken = new TakenSources(lowSource, limits)
        const seen = new Set<number>()
        for (const [at, { source, timestampMs }] of entries.entries()) {
          if (at === parseAt % entries.length) taken = TakenSources.parse(taken.encode(), limits)
          const isFresh = source >= lowSource && !seen.has(source)
          assert.equal(taken.add(source, timestampMs), isFresh)
          seen.add(source)
        }
      },
    ),
  )
})

/** A message every 10 ms and a tick each second, from one writer; gives the next source. */
function writeFor(
  taken: TakenSources,
  { ms, source: from, nowMs }: { ms: number; source: number; nowMs: number },
): number {
  let source = from
  for (let at = 0; at < ms; at += 10) {
    if (at % 1000 === 0) source++
    assert.ok(taken.add(source++, nowMs + at))
  }
  return source
}

test('T2 a gap is closed after a quarter of an hour in which others wrote, and not in an outage', () => {
  const taken = new TakenSources()
  const HOUR_MS = 60 * MINUTE_MS
  let source = writeFor(taken, { ms: 14 * MINUTE_MS, source: 1000, nowMs: NOW_MS })
  assert.equal(taken.lowSource, 0)
  // A weekend, and one more message.
  const mondayMs = NOW_MS + 60 * HOUR_MS
  assert.ok(taken.add(source + 1, mondayMs))
  assert.equal(taken.lowSource, 0)
  assert.ok(taken.add(900, mondayMs), 'late, and there')
  source = writeFor(taken, { ms: 14 * MINUTE_MS, source: source + 2, nowMs: mondayMs })
  assert.ok(taken.add(901, mondayMs), 'what its writer says makes others of it young again')
  source = writeFor(taken, { ms: 20 * MINUTE_MS, source, nowMs: mondayMs + HOUR_MS })
  assert.ok(taken.lowSource > 901)
  assert.ok(!taken.add(902, mondayMs + 2 * HOUR_MS))
  assert.ok(taken.encode().length < 2500, `${taken.encode().length} bytes`)
})

test('T3 a job that begins again and again never closes the gap of a writer that hangs', () => {
  const taken = new TakenSources()
  // The hanging one has source 0; the other one comes a bit further each time.
  for (let tries = 1; tries <= 20; tries++) {
    const nowMs = NOW_MS + tries * 60 * MINUTE_MS
    const end = tries * 10 * 60 * 100
    for (let source = 1; source < end; source++) taken.add(source, nowMs + source * 10)
  }
  assert.equal(taken.lowSource, 0)
  assert.ok(taken.add(0, NOW_MS))
})

test('timestamps that jump, or that nobody wrote, close nothing', () => {
  const taken = new TakenSources(5)
  for (let source = 6; source < 200; source++) {
    taken.add(source, source % 2 === 0 ? NOW_MS : NOW_MS + 1e12)
    taken.add(1000 + source, -1)
  }
  assert.equal(taken.lowSource, 5)
  assert.ok(taken.add(5, NOW_MS))
})
