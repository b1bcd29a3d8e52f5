/**
 * Topic names and topic filters (MQTT 5, section 4.7). Names are checked as bytes, since the hot
 * path never makes them strings; filters are few and are strings. Nothing here recurses.
 */
import { WeirError } from '../errors/errors.ts'
import { malformed } from './failure.ts'

/** Levels of a name or filter: AWS IoT allows 8; deeper than this nobody has been seen to need. */
const TOPIC_LEVELS_MAX = 128
/** The longest topic of ours, with an id of 128 characters, has 530 bytes; AWS IoT allows 256. */
const TOPIC_BYTES_MAX = 1024

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const DOLLAR = 0x24

/** Checks UTF-8 bytes in [start, end). Errors: MQTT_PACKET_MALFORMED, MQTT_TOPIC_INVALID. */
export function checkTopicName(bytes: Uint8Array, start: number, end: number): void {
  if (start === end) throw malformed('the topic name is empty') // [MQTT-4.7.3-1]
  checkLength(end - start)
  let levels = 1
  for (let position = start; position < end; position++) {
    const byte = bytes[position]!
    if (byte === SLASH) levels++
    else if (byte === PLUS || byte === HASH) {
      throw malformed('the topic name contains a wildcard') // [MQTT-3.3.2-2]
    }
  }
  checkLevels(levels)
}

/** Errors: MQTT_PACKET_MALFORMED, MQTT_TOPIC_INVALID. */
export function checkTopicFilter(filter: string): void {
  if (filter === '') throw malformed('the topic filter is empty') // [MQTT-4.7.3-1]
  checkLength(Buffer.byteLength(filter))
  let levels = 1
  for (let index = 0; index < filter.length; index++) {
    const code = filter.charCodeAt(index)
    if (code === SLASH) levels++
    if (code !== PLUS && code !== HASH) continue
    const isAlone =
      (index === 0 || filter.charCodeAt(index - 1) === SLASH) &&
      (index + 1 === filter.length || filter.charCodeAt(index + 1) === SLASH)
    if (!isAlone) throw malformed('a wildcard shares its level') // [MQTT-4.7.1-2] [MQTT-4.7.1-3]
    if (code === HASH && index + 1 < filter.length) {
      throw malformed('# is not the last character of the filter') // [MQTT-4.7.1-2]
    }
  }
  checkLevels(levels)
}

/** [MQTT-4.7.3-3] allows 65,535 bytes to be written, not every server to take them. */
function checkLength(length: number): void {
  if (length <= TOPIC_BYTES_MAX) return
  throw new WeirError('MQTT_TOPIC_INVALID', `a topic of more than ${TOPIC_BYTES_MAX} bytes`)
}

function checkLevels(levels: number): void {
  if (levels <= TOPIC_LEVELS_MAX) return
  throw new WeirError('MQTT_TOPIC_INVALID', `more than ${TOPIC_LEVELS_MAX} topic levels`)
}

/** Filters in one SUBSCRIBE or UNSUBSCRIBE; a packet of 256 KiB could hold 65,000. */
const FILTERS_PER_PACKET_MAX = 1000

/** Throws MQTT_SUBSCRIPTIONS_EXCEEDED when one more would be too many. */
export function checkFilterCount(count: number): void {
  if (count < FILTERS_PER_PACKET_MAX) return
  const detail = `more than ${FILTERS_PER_PACKET_MAX} filters in one packet`
  throw new WeirError('MQTT_SUBSCRIPTIONS_EXCEEDED', detail)
}

/** `$share/{name}/{filter}` (MQTT 5, section 4.8.2), or undefined when the filter is not shared. */
export function splitShared(
  filter: string,
): { shareName: string; topicFilter: string; isValid: boolean } | undefined {
  if (!filter.startsWith('$share/')) return undefined
  const slash = filter.indexOf('/', 7)
  const shareName = filter.slice(7, slash === -1 ? undefined : slash)
  const topicFilter = slash === -1 ? '' : filter.slice(slash + 1)
  // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
  const isValid = shareName !== '' && !/[+#]/.test(shareName) && topicFilter !== ''
  return { shareName, topicFilter, isValid }
}

/**
 * Whether a valid filter matches a valid topic name. Linear in their lengths, without allocation:
 * a wildcard spans exactly one level, or all the rest, so there is nothing to try twice.
 */
export function matchesFilter(filter: string, topic: string): boolean {
  // [MQTT-4.7.2-1]
  const first = filter.charCodeAt(0)
  if (topic.charCodeAt(0) === DOLLAR && (first === PLUS || first === HASH)) return false
  let at = 0
  for (let index = 0; index < filter.length; index++) {
    const code = filter.charCodeAt(index)
    if (code === HASH) return true
    if (code === PLUS) {
      const slash = topic.indexOf('/', at)
      at = slash === -1 ? topic.length : slash
    } else if (at < topic.length && topic.charCodeAt(at) === code) {
      at++
    } else {
      // 'sport/#' also matches its parent 'sport' (section 4.7.1.2).
      return at === topic.length && index === filter.length - 2 && filter.endsWith('/#')
    }
  }
  return at === topic.length
}
