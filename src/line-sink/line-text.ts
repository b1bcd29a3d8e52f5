/** How names and texts are written in each dialect of line protocol. */

export interface Dialect {
  /**
   * QuestDB and VictoriaMetrics undo any escape, so a backslash is doubled. InfluxDB takes one for
   * itself unless it stands before a comma, space or equals sign; there none can be written.
   */
  doublesBackslashes: boolean
  /** QuestDB ends a line even inside of a text, unless a backslash stands before the line end. */
  escapesLineEnds: boolean
  /** A line that begins with "#" is a comment. */
  hasComments: boolean
  /** A row for each reading, instead of a field for each metric. */
  isNarrow: boolean
  hasTexts: boolean
  /** In the name of a field a quote begins a text. */
  hasQuotedFields: boolean
}

// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/
const AMBIGUOUS = /\\(?:[ ,=]|$)/

/** Why this cannot be the name or the value of a tag, or the name of a field or measurement. */
export function whyNotName(name: string, dialect: Dialect): string | undefined {
  if (name === '') return 'a name is empty'
  if (CONTROL.test(name)) return 'a name has control characters'
  if (!dialect.doublesBackslashes && AMBIGUOUS.test(name)) {
    return 'a backslash cannot stand at the end of a name, or before a comma, space or equals sign'
  }
  return undefined
}

export function escapeMeasurement(name: string, dialect: Dialect): string {
  // InfluxDB keeps the backslash of an equals sign here; the others want it.
  return dialect.doublesBackslashes ? escapeName(name, dialect) : name.replaceAll(/[ ,]/g, '\\$&')
}

/** Names of tags and fields, values of tags. */
export function escapeName(name: string, dialect: Dialect): string {
  return name.replaceAll(dialect.doublesBackslashes ? /[ ,=\\]/g : /[ ,=]/g, '\\$&')
}

export function quoteText(text: string, dialect: Dialect): string {
  return `"${text.replaceAll(dialect.escapesLineEnds ? /["\\\n\r]/g : /["\\]/g, '\\$&')}"`
}

/** What tags and columns of our own, or of a target, are called. */
const RESERVED =
  /^(?:tenant|device_id|time|timestamp|metric|kind|value|text_value|_field|_measurement|_time)_*$/i

/** Different names stay different. */
export const freeName = (name: string): string => (RESERVED.test(name) ? `${name}_` : name)

/** What QuestDB forbids, and a "_" that would be read as the beginning of a code. */
const TO_ENCODE =
  /[?.,'"\\/:()+*%~\-\ufeff]|_(?=(?:2[25789a-f]|3[af]|5[cf]|7e|feff)[_?.,'"\\/:()+*%~\-\ufeff])/gi

/**
 * A name that QuestDB takes for a table or column: what it forbids becomes its code, `a.b` is
 * `a_2e_b`. Different names stay different, unless they differ in upper and lower case alone.
 */
export function toIdentifier(name: string): string {
  return name.replaceAll(TO_ENCODE, (one) => {
    return `_${one.charCodeAt(0).toString(16)}_`
  })
}
