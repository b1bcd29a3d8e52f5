/** Digits of fixed width written into ready-made packets, a few nanoseconds each. */

/** As little-endian ASCII, so that one store writes all of them. */
const DIGITS_4 = new Uint32Array(10_000)
const DIGITS_2 = new Uint16Array(100)
for (let n = 0; n < 10_000; n++) {
  const text = String(n).padStart(4, '0')
  DIGITS_4[n] = Buffer.from(text).readUInt32LE()
}
for (let n = 0; n < 100; n++) DIGITS_2[n] = (48 + Math.floor(n / 10)) | ((48 + (n % 10)) << 8)

/** `dddd` */
export function writeFourDigits(view: DataView, at: number, value: number): void {
  view.setUint32(at, DIGITS_4[value] ?? 0, true)
}

/** `dd.dd`; the point stands there already. */
export function writeHundredths(view: DataView, at: number, hundredths: number): void {
  const whole = Math.floor(hundredths / 100)
  view.setUint16(at, DIGITS_2[whole] ?? 0, true)
  view.setUint16(at + 3, DIGITS_2[hundredths - whole * 100] ?? 0, true)
}

/** The last 12 of 13 digits: the first is 1 until the year 2033, and stands there already. */
export function writeMilliseconds(view: DataView, at: number, ms: number): void {
  const rest = ms - 1_000_000_000_000
  const high = Math.floor(rest / 100_000_000)
  const low = rest - high * 100_000_000
  const middle = Math.floor(low / 10_000)
  writeFourDigits(view, at + 1, high)
  writeFourDigits(view, at + 5, middle)
  writeFourDigits(view, at + 9, low - middle * 10_000)
}
