/**
 * The rules' part of a checkpoint:
 *
 *   rulebook     JSON: rules that changes brought, what is said of all rules, layouts of cells
 *   facts-N      JSON: what the registry says of 1,024 devices
 *   episodes-N   f64: one block of the episodes' arena
 *   cells-N      f64: one block of the cells' arena
 *   lasts-N      f64: last values of 1,024 series
 *   seen-N       f64: when 1,024 devices were last heard, and the sequence
 *
 * What a restart finds of a rule it knows by the rule's id and version. What fires for a rule that
 * is gone, or no longer concerns the device, is resolved at the time of the checkpoint.
 */
import type { DeviceFacts } from '../batch/batch.ts'
import { ARENA_BLOCK, recordsIn } from './arena.ts'
import { BREACH, DEVICE, FIRING, PHASE, RULE, TRIGGERED } from './episodes.ts'
import type { LiveRule, SavedBook } from './rule-book.ts'
import type { Cell } from './rule-cells.ts'
import type { RuleEngine } from './rule-engine.ts'
import { eventOf, wordsOf, type RuleWords } from './rule-events.ts'
import type { Checkpoint } from './stream.ts'

type Part = Checkpoint['parts'][number]
type Bytes = ReadonlyMap<string, Uint8Array>

/** What a checkpoint's plan says of the rules. */
export interface SavedRules {
  sequence: number
  /** Float64 of the two arenas. */
  episodes: number
  cells: number
}

interface SavedRulebook {
  book: SavedBook
  /** By index; null where a rule went. */
  words: (RuleWords | null)[]
  layouts: Cell[][]
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const savedRules = ({ sequence, episodes, cells }: RuleEngine): SavedRules => ({
  ...{ sequence, episodes: episodes.arena.length, cells: cells.arena.length },
})

/** Copies what changed since the last call. */
export function collectRules(engine: RuleEngine): Part[] {
  const { book, cells, episodes, guards, silence } = engine
  const parts: Part[] = []
  if (book.isChanged || cells.isChanged) {
    const saved: SavedRulebook = {
      book: book.save(),
      words: book.live.map((live) => (live === undefined ? null : wordsOf(live.rule))),
      layouts: cells.layouts.map((layout) => [...layout.cells]),
    }
    parts.push(jsonPart('rulebook', saved))
  }
  book.isChanged = false
  cells.isChanged = false
  for (const chunk of engine.factsChanged)
    parts.push(jsonPart(`facts-${chunk}`, factsOf(engine, chunk)))
  engine.factsChanged.clear()
  for (const [name, of] of Object.entries({ episodes: episodes.arena, cells: cells.arena }))
    for (const [index, block] of of.takeChanged()) parts.push(part(`${name}-${index}`, block))
  for (const [index, chunk] of guards.takeChanged()) parts.push(part(`lasts-${index}`, chunk))
  for (const [index, chunk] of silence.takeChanged()) parts.push(part(`seen-${index}`, chunk))
  return parts
}

/** Fills an engine whose series were defined. */
export function restoreRules(
  engine: RuleEngine,
  parts: Bytes,
  { saved, nowUs }: { saved: SavedRules; nowUs: number },
): void {
  const { book: savedBook, words, layouts } = json<SavedRulebook>(parts.get('rulebook')!)
  engine.resume(savedBook, saved.sequence, nowUs)
  for (const [name, bytes] of parts) {
    if (!name.startsWith('facts-')) continue
    for (const facts of json<DeviceFacts[]>(bytes)) engine.learn(facts)
    engine.factsChanged.add(Number(name.slice('facts-'.length)))
  }
  engine.rebind()
  engine.cells.restore(tableOf('cells', saved.cells, parts), layouts)
  restoreEpisodes(engine, words, { table: tableOf('episodes', saved.episodes, parts), nowUs })
  for (const [name, bytes] of parts) {
    const [kind, index] = name.split('-')
    if (kind === 'lasts') engine.guards.restore(Number(index), floats(bytes))
    if (kind === 'seen') engine.silence.restore(Number(index), floats(bytes), nowUs)
  }
}

function restoreEpisodes(
  engine: RuleEngine,
  words: readonly (RuleWords | null)[],
  { table, nowUs }: { table: Float64Array; nowUs: number },
): void {
  const { devices, episodes } = engine
  const current = currentRules(engine, words)
  for (const from of recordsIn(table)) {
    const device = table[from + DEVICE]!
    const index = table[from + RULE]!
    const name = devices.name(device)
    if (name === undefined) continue
    const live = current[index]
    if (live !== undefined && devices.rulesOf(device).all.includes(live))
      episodes.restore(episodes.begin(live, device), table, from)
    else if (table[from + PHASE] === FIRING)
      episodes.add(
        eventOf(words[index]!, name, {
          ...{ resolvedAtUs: nowUs, values: [], before: NaN },
          breachEventTimeUs: table[from + BREACH]!,
          triggeredAtUs: table[from + TRIGGERED]!,
        }),
      )
  }
}

/** Those that are still there, at the places of those that were saved. */
export function currentRules(
  { book }: RuleEngine,
  saved: readonly ({ id: string; version: number } | null)[],
): (LiveRule | undefined)[] {
  const keyOf = ({ id, version }: { id: string; version: number }): string => `${id} ${version}`
  const live = new Map(
    book.live.flatMap((one) => (one === undefined ? [] : [[keyOf(one.rule), one] as const])),
  )
  return saved.map((one) => (one === null ? undefined : live.get(keyOf(one))))
}

function factsOf({ devices }: RuleEngine, chunk: number): DeviceFacts[] {
  const all: DeviceFacts[] = []
  for (let device = chunk << 10; device < (chunk + 1) << 10; device++) {
    const facts = devices.facts.get(device)
    if (facts !== undefined) all.push(facts)
  }
  return all
}

function tableOf(name: string, length: number, parts: Bytes): Float64Array {
  const table = new Float64Array(length)
  for (let at = 0; at < length; at += ARENA_BLOCK)
    table.set(floats(parts.get(`${name}-${at / ARENA_BLOCK}`)!), at)
  return table
}

const part = (
  name: string,
  { buffer, byteOffset, byteLength }: Float64Array<ArrayBuffer>,
): Part => ({
  name,
  bytes: new Uint8Array(buffer, byteOffset, byteLength),
})

const jsonPart = (name: string, value: unknown): Part => ({
  name,
  bytes: encoder.encode(JSON.stringify(value)),
})

const json = <T>(bytes: Uint8Array): T => JSON.parse(decoder.decode(bytes)) as T

/** A copy, since stored bytes may lie at any address. */
const floats = (bytes: Uint8Array): Float64Array<ArrayBuffer> =>
  new Float64Array(Uint8Array.from(bytes).buffer)
