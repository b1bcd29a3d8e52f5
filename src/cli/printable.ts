/**
 * Texts that devices and files bring, on their way to somebody's terminal or spreadsheet: there a
 * control character moves the cursor or rewrites what stands above, and a cell that begins with an
 * equals sign is a formula.
 */

/** C0, DEL and C1 controls; marks that turn the direction of writing; separators of lines. */
// oxlint-disable-next-line no-control-regex -- they are what it finds
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

const escape = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`

/** One line, whatever it holds. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escape)
}

/** Several lines stay several. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** How OWASP knows a formula: spreadsheets take these as the beginning of one. */
const FORMULA = /^[=+\-@\t\r]/

/** A text as a field of RFC 4180; an apostrophe makes a spreadsheet take it as text. */
export function csvText(text: string): string {
  const inert = FORMULA.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert
}
