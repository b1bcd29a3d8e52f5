/**
 * What the stream is told in the log beside messages: rules that change, and what the registry
 * knows of a device. They have the form of a tick, and dimensions that say what they are; so a
 * reader that has never heard of them takes them for a tick.
 */
import type { DeviceFacts, RuleChange, RuleName } from '../batch/batch.ts'
import { isRule } from '../pipeline/pipeline.ts'
import { malformed } from './avro-reader.ts'
import { AvroWriter } from './avro-writer.ts'

const RULES = 'weir.rules'
const DEVICE = 'weir.device'

/** Facts as they travel: each partition has numbers of its own. */
export type NamedFacts = Omit<DeviceFacts, 'device'>

export type ControlEntry = { rules: RuleChange[] } | { device: NamedFacts }

/** `timeUs` is for readers that take it for a tick. For every partition. */
export const encodeRules = (changes: readonly RuleChange[], timeUs: number): Uint8Array =>
  encodeTold(timeUs, RULES, changes)

/** For the partition of the device. */
export function encodeFacts(facts: NamedFacts, timeUs: number): Uint8Array {
  const { tenant, deviceId, deviceType, location, tags, parent } = facts
  return encodeTold(timeUs, DEVICE, { tenant, deviceId, deviceType, location, tags, parent })
}

/** A message of nobody, which tells the time. */
export const encodeTick = (timeUs: number): Uint8Array => encodeNobody(timeUs, [])

const encodeTold = (timeUs: number, what: string, value: unknown): Uint8Array =>
  encodeNobody(timeUs, [[what, JSON.stringify(value)]])

function encodeNobody(timeUs: number, dimensions: [string, string][]): Uint8Array {
  const writer = new AvroWriter(64)
  for (let name = 0; name < 3; name++) writer.string('')
  writer.long(timeUs)
  writer.long(timeUs)
  // Flags and identity; then, behind the dimensions, three empty maps.
  for (let field = 0; field < 2; field++) writer.long(0)
  writer.strings(dimensions)
  for (let kind = 0; kind < 3; kind++) writer.long(0)
  return writer.take()
}

/** What a message of nobody says; undefined for a tick. Errors: ENTRY_MALFORMED. */
export function decodeTold(dimensions: readonly [string, string][]): ControlEntry | undefined {
  const told = dimensions.filter(([name]) => name === RULES || name === DEVICE)
  const [first] = told
  if (first === undefined) return undefined
  if (told.length > 1) throw malformed('it tells two things at once')
  const [name, text] = first
  const value = parsed(text)
  if (name === DEVICE) return { device: factsOf(value) }
  if (!Array.isArray(value)) throw malformed('changes of rules are no list')
  return { rules: value.map(changeOf) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw malformed('what it tells is no JSON')
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string => typeof value === 'string'

const isTextOrNone = (value: unknown): value is string | undefined =>
  value === undefined || isText(value)

/** No more than what is known of facts: what a newer program says beside them is left out. */
function factsOf(value: unknown): NamedFacts {
  if (!isRecord(value)) throw malformed('facts of a device are no object')
  const { tenant, deviceId, deviceType, location, tags, parent } = value
  const areNames = isText(tenant) && isText(deviceId) && deviceId !== '' && isText(deviceType)
  if (!areNames) throw malformed('facts of no device')
  if (!isTextOrNone(location) || !isTextOrNone(parent) || !isTags(tags)) {
    throw malformed('facts that are no texts')
  }
  return { tenant, deviceId, deviceType, location, tags, parent }
}

const isTags = (value: unknown): value is Record<string, string> =>
  isRecord(value) && Object.values(value).every(isText)

function changeOf(value: unknown): RuleChange {
  if (!isRecord(value) || Object.keys(value).length !== 1) throw malformed('no change of a rule')
  const { put, remove, retain } = value
  if (isRule(put)) return { put }
  if (isName(remove)) return { remove }
  if (Array.isArray(retain) && retain.every(isName)) return { retain }
  throw malformed('no change of a rule')
}

const isName = (value: unknown): value is RuleName & Record<string, unknown> =>
  isRecord(value) && isText(value['id']) && Number.isSafeInteger(value['version'])
