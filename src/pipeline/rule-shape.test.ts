/** What is taken for a compiled rule, and that what is taken can run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parsePipeline } from './compile.ts'
import { isRule, run, type Rule } from './pipeline.ts'

const { rules } = parsePipeline(
  `
version: 1
types:
  pump:
    schemas:
      1:
        temperature: {unit: "°C", min: -40, max: 150}
        running: {type: boolean, required: false}
        mode: {type: text, required: false}
windows: [1m]
rules:
  - {id: plain, type: pump, when: "temperature > 80"}
  - id: full
    type: pump
    devices: [a, b]
    tags: {line: north}
    when: "running && (mode == 'auto' || temperature / 2 > 40) ? temperature > 1 : !running"
    clear: "temperature < 70"
    for: 30s
    keep: 10s
    repeat: {count: 3, within: 10m}
    schedule: {days: [mon], from: "08:00", to: "24:00", timeZone: Europe/Berlin}
    severity: critical
    notify: [someone]
    summary: it is hot
    budget: {alerts: 3, per: 1d}
  - {id: window, type: pump, when: "avg(temperature) > 80", window: 1m, early: true}
  - {id: silent, type: pump, silent: {interval: 30s, count: 3}}
`,
  'rules.yaml',
)

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('every rule that was compiled is one, also behind JSON', () => {
  assert.equal(rules.length, 4)
  for (const rule of rules) assert.ok(isRule(rule) && isRule(json(rule)), rule.id)
})

/** Where a value stands in another. */
type Path = (string | number)[]

const pathsOf = (value: unknown, at: Path = []): Path[] =>
  typeof value !== 'object' || value === null
    ? [at]
    : [at, ...Object.entries(value).flatMap(([key, one]) => pathsOf(one, [...at, key]))]

function replaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }) as {
    [key: string]: unknown
  }
  copy[key] = replaced(copy[key], rest, by)
  if (copy[key] === undefined) delete copy[key]
  return copy
}

const anyDamage = fc
  .constantFrom(...rules)
  .chain((rule) =>
    fc.tuple(
      fc.constant(rule),
      fc.constantFrom(...pathsOf(json(rule)).filter((path) => path.length > 0)),
      fc.constantFrom(undefined, null, -1, 1.5, 99, '', 'metric', [], {}, NaN, true),
    ),
  )

test('property: with one part of it damaged it is none, or one that can run', () => {
  let refused = 0
  fc.assert(
    fc.property(anyDamage, ([rule, path, by]) => {
      const damaged = json(replaced(json(rule), path, by))
      if (!isRule(damaged)) {
        refused++
        return
      }
      for (const program of [damaged.program, damaged.clear ?? damaged.program]) {
        if (program.instructions.length === 0) continue
        const values = new Float64Array(damaged.variables.length).fill(1)
        const stack = new Float64Array(program.stackDepthMax).fill(NaN)
        run(program, values, stack, () => 0)
        for (const { variable } of program.guards) assert.ok(variable < values.length)
      }
    }),
    { numRuns: 3000 },
  )
  assert.ok(refused > 1500, `${refused} refused`)
})

test('a program that takes what is not there is none', () => {
  const [rule] = rules as [Rule]
  const programs: Rule['program']['instructions'][] = [
    [],
    [['add']],
    [['not'], ['metric', 0]],
    [
      ['metric', 0],
      ['metric', 0],
    ],
    [['metric', 1]],
    [['text', 0]],
    [['metric', 0], ['constant', 1], ['constant', 2], ['select'], ['constant', 3], ['less']],
  ]
  const stackDepthMax = 2
  for (const instructions of programs) {
    const program = { ...rule.program, instructions, stackDepthMax }
    assert.ok(!isRule({ ...rule, program }), JSON.stringify(instructions))
  }
  const [first, second] = [['metric', 0] as ['metric', number], ['not'] as ['not']]
  assert.ok(isRule({ ...rule, program: { ...rule.program, instructions: [first, second] } }))
  const schedule = { days: [1], from: '08:00', to: '18:00', timeZone: 'Europe/Nowhere' }
  assert.ok(!isRule({ ...rule, schedule }))
})
