import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

const css = await readFile(new URL('./style.css', import.meta.url), 'utf8')
const [light = '', dark = ''] = css.split('@media (prefers-color-scheme: dark)')

function colourOf(scheme: string, name: string): string {
  const found = new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(scheme)?.[1]
  assert.ok(found, `no colour --${name}`)
  return found
}

/** Relative luminance [WCAG 2.2, dfn-relative-luminance]. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((place) => {
    const part = Number.parseInt(colour.slice(place, place + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (high + 0.05) / (low + 0.05)
}

const pairs = [
  ['ink', 'ground'],
  ['ink', 'surface'],
  ['ink', 'line'],
  ['quiet', 'ground'],
  ['quiet', 'surface'],
  ['accent', 'surface'],
  ['accent-ink', 'accent'],
  ['bad', 'surface'],
  ['bad', 'bad-wash'],
  ['warn', 'warn-wash'],
] as const

for (const [name, scheme] of [
  ['light', light],
  ['dark', dark],
] as const) {
  test(`every text of the ${name} scheme has a contrast of 4.5 at least`, () => {
    for (const [text, ground] of pairs) {
      const ratio = contrast(colourOf(scheme, text), colourOf(scheme, ground))
      assert.ok(ratio >= 4.5, `--${text} on --${ground}: ${ratio.toFixed(2)}`)
    }
  })
}
