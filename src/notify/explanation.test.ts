import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { drawChart } from './chart.ts'
import { durationText, explain, explainText } from './explanation.ts'
import { explainHtml } from './html.ts'
import { notificationOf, NOW_US } from './notification-fixture.ts'
import type { Notification } from './notify.ts'
import { explainSms, SMS_UNITS_MAX, smsUnits } from './sms.ts'

test('An alert is explained: what, value, threshold, change, since when, how long, who, where', () => {
  assert.equal(
    explainText(notificationOf()),
    `[critical] pump-01: temperature is 93.2 °C, threshold 80 °C

What: it began to fire
Value: 93.2 °C, threshold 80 °C: 13.2 °C above
Changed: it was 71.4 °C before, now 93.2 °C
Since: 2026-11-24T02:57:30.000Z, for 2 min 30 s
Device: pump-01
Rule: hot: temperature > 80
Link: https://weir.example/alerts/alert-1
`,
  )
})

test('What fires again, was not acknowledged, goes on or is over says so', () => {
  const what = (change: Notification['change'], occurrences = 1): string =>
    explain(notificationOf({ occurrences }, { change })).facts[0]!.text
  assert.equal(what('reopened', 3), 'it fires again, 3 times so far')
  assert.equal(what('escalated'), 'it fires, and nobody has acknowledged it')
  assert.equal(what('reminded'), 'it is still firing')
  const over = { state: 'resolved', resolvedAtUs: NOW_US - 30_000_000 } as const
  const { title, facts } = explain(notificationOf(over, { change: 'resolved' }))
  assert.equal(title, '[critical] pump-01: hot is resolved')
  assert.equal(facts.find(({ name }) => name === 'Since')!.text.split(', ')[1], 'for 2 min')
})

test('A rule without value, threshold or metric is explained with what there is', () => {
  const { id, deviceId, ruleId, severity, state, ...times } = notificationOf().alert
  const { sinceUs, triggeredAtUs, occurrences, condition } = times
  const bare = { id, deviceId, ruleId, severity, state, sinceUs, triggeredAtUs, occurrences }
  const { title, facts } = explain({ ...notificationOf(), alert: { ...bare, condition } })
  assert.equal(title, '[critical] pump-01: hot is firing')
  assert.deepEqual(
    facts.map(({ name }) => name),
    ['What', 'Since', 'Device', 'Rule', 'Link'],
  )
  const switched = notificationOf({ metric: 'running', value: false, threshold: true })
  assert.match(explain(switched).title, /running is false, threshold true$/)
})

test('A time is said in its two largest units', () => {
  const table = [
    ...([
      [0, '0 s'],
      [59, '59 s'],
      [60, '1 min'],
      [150, '2 min 30 s'],
      [-5, '0 s'],
    ] as const),
    ...([
      [3600, '1 h'],
      [3661, '1 h 1 min'],
      [90_000, '1 d 1 h'],
      [86_460, '1 d'],
    ] as const),
  ] as const
  for (const [seconds, text] of table) assert.equal(durationText(seconds * 1_000_000), text)
})

const anyNotification = fc
  .record({
    ...{ deviceId: fc.string({ unit: 'binary' }), ruleId: fc.string({ unit: 'binary' }) },
    ...{ condition: fc.string({ unit: 'binary' }), unit: fc.string({ unit: 'binary' }) },
    value: fc.oneof(fc.double(), fc.string({ unit: 'binary' }), fc.boolean()),
    threshold: fc.oneof(fc.double(), fc.boolean()),
    occurrences: fc.integer({ min: 1, max: 1_000_000 }),
  })
  .chain((alert) => fc.webUrl({ size: 'large' }).map((link) => notificationOf(alert, { link })))

test('An SMS is one: 160 units of the GSM alphabet, with the link whole or not at all', () => {
  assert.equal(
    explainSms(notificationOf()),
    '[critical] pump-01: temperature is 93.2 C, threshold 80 C https://weir.example/alerts/alert-1',
  )
  const long = explainSms(notificationOf({ deviceId: 'x'.repeat(64), metric: 'y'.repeat(64) }))
  assert.equal(smsUnits(long), SMS_UNITS_MAX)
  assert.match(long, /\.\.\. https:\/\/weir\.example\/alerts\/alert-1$/)
  fc.assert(
    fc.property(anyNotification, (notification) => {
      const text = explainSms(notification)
      assert.ok(smsUnits(text) <= SMS_UNITS_MAX, text)
      assert.match(text, /^[\x20-\x7e£¥¤§¡¿ÄÅÆÇÉÑÖØÜßàäåæèéìñòöøùüΓΔΘΛΞΠΣΦΨΩ€]*$/)
    }),
  )
})

test('Whatever is said, HTML has no markup of it, and text no line of it', () => {
  fc.assert(
    fc.property(anyNotification, (notification) => {
      const html = explainHtml(notification, 'cid:chart@weir')
      const tags = [...html.matchAll(/<\/?([a-z0-9!]+)/gi)].map(([, name]) => name!.toLowerCase())
      const own = new Set('!doctype html head meta body h2 table tr th td a p img'.split(' '))
      assert.ok(
        tags.every((tag) => own.has(tag)),
        html,
      )
      const { facts } = explain(notification)
      assert.equal(explainText(notification).split('\n').length, facts.length + 3)
    }),
  )
  const html = explainHtml(notificationOf({ deviceId: '<img src=x onerror=alert(1)>' }))
  assert.ok(!html.includes('<img') && html.includes('&lt;img src=x'))
  const script = explainHtml(notificationOf({}, { link: 'javascript:alert(1)' }))
  assert.ok(!script.includes('href'))
})

const readings = (values: number[]) => ({
  timesUs: values.map((_, at) => NOW_US + at * 1_000_000),
  values,
})

test('A chart has the line, the threshold, the extremes and both times', () => {
  const svg = drawChart(readings([70, 75, 93.2]), { title: 'a & b', unit: '°C', threshold: 80 })!
  assert.match(svg, /<polyline [^>]*points="64,136 266,\d+(\.\d)? 468,12"/)
  assert.match(svg, /stroke-dasharray/)
  for (const text of ['93.2 °C', '70 °C', '80 °C', '2026-11-24T03:00:02.000Z', 'a &amp; b'])
    assert.ok(svg.includes(text), text)
})

test('A chart is drawn of any readings: small, with numbers in it, and with nothing of others', () => {
  const options = { title: '</title><script>', unit: '"><script>' }
  fc.assert(
    fc.property(fc.array(fc.double(), { maxLength: 50 }), fc.double(), (values, threshold) => {
      const svg = drawChart(readings(values), { ...options, threshold })
      const count = values.filter(Number.isFinite).length
      assert.equal(svg !== undefined, count >= 2)
      assert.doesNotMatch(svg ?? '', /NaN|Infinity|<script/)
    }),
  )
  const many = Array.from({ length: 200_000 }, (_, n) => (n === 77_777 ? 1000 : Math.sin(n)))
  const large = drawChart(readings(many), { title: 'many' })!
  assert.ok(large.length < 20_000, String(large.length))
  assert.ok(large.includes('>1000<'), 'the one that matters is kept')
})
