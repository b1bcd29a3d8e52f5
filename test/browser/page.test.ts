/**
 * The page where the server must be commanded: a fleet of 10,000, an outage, a session that ends,
 * hostile names. The way of a person through the real system is in `real-system.test.ts`.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { launchChromium, openPage, skip, until, type WatchedPage } from './chromium.ts'
import type { AlertBody } from '../../src/api/api.ts'
import { makeAlert } from '../../src/api/testing/alert-body.ts'
import { SmallServer } from './small-server.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

let browser: Browser
let server: SmallServer
let watched: WatchedPage[] = []

before(async () => {
  if (skip) return
  execFileSync(process.execPath, ['src/web/build.ts'], { cwd: root })
  browser = await launchChromium()
})
after(() => browser?.close())
beforeEach(async () => {
  if (skip) return
  watched = []
  server = new SmallServer(`${root}dist/web`)
  await server.start()
})
afterEach(async () => {
  if (skip) return
  for (const { page } of watched) await page.context().close()
  await server.stop()
  const faults = watched.flatMap((opened) => opened.faults)
  assert.deepEqual(faults, [], 'nothing that must never happen has happened')
})

async function visit(path: string, options: BrowserContextOptions = {}): Promise<Page> {
  const opened = await openPage(browser, options)
  watched.push(opened)
  await opened.page.goto(server.url + path)
  return opened.page
}

const signedIn = (fragment = '', options: BrowserContextOptions = {}): Promise<Page> =>
  visit(`/?code=${server.makeCode()}${fragment}`, options)

/** One reading a second over the last minute. */
function fillMinute(id: string, metric = 'temperature'): void {
  const nowMs = Date.now()
  for (let s = 60; s > 0; s--) server.post(id, metric, [nowMs - s * 1000, 20 + (s % 7)], '°C')
}

const hasText = async (page: Page, selector: string, pattern: RegExp): Promise<boolean> =>
  pattern.test((await page.textContent(selector)) ?? '')
const isLive = (page: Page) => () => hasText(page, '#connection-text', /^Live$/)

test('the code of the address opens a session and leaves the address', { skip }, async () => {
  const page = await signedIn()
  await until(isLive(page))
  assert.equal(new URL(page.url()).search, '')
  await page.reload()
  await until(isLive(page))
})

test(
  'without a session a form says where the code is, refuses a wrong one and takes a right one',
  { skip },
  async () => {
    const page = await visit('/')
    assert.match((await page.textContent('#sign-in-form')) ?? '', /terminal/)
    await page.getByLabel('One-time code').fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await until(() => hasText(page, '#sign-in-problem', /used already|mistyped/))
    await page.getByLabel('One-time code').fill(server.makeCode())
    await page.keyboard.press('Enter')
    await until(isLive(page))
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('One-time code').waitFor()
  },
)

test('an empty system tells a newcomer what to type', { skip }, async () => {
  const page = await signedIn()
  await until(() => hasText(page, '#devices-empty', /curl .*\/v1\/devices/))
  assert.match((await page.textContent('#devices-empty')) ?? '', /sensor-1\/telemetry/)
  assert.match((await page.textContent('#alerts-empty')) ?? '', /No rule has fired/)
  server.register('sensor-1')
  await page.reload()
  await until(() => hasText(page, '#chart-empty', /sensor-1\/telemetry/))
})

test('devices that come and go meanwhile are listed without a reload', { skip }, async () => {
  const page = await signedIn()
  await until(() => hasText(page, '#devices-empty', /curl .*\/v1\/devices/))
  const has = (count: RegExp) => () => {
    // As the server says it each second.
    const rates = { readings_per_second: 0, messages_per_second: 0, devices: server.devices.size }
    server.push({ event: 'rate', data: rates })
    return hasText(page, '#devices-count', count)
  }
  server.register('pump-1')
  await until(has(/^1$/))
  // The first one is drawn at once, as after a reload.
  await until(() => hasText(page, '#chart-title', /^pump-1$/))
  server.register('pump-2')
  await until(has(/^2$/))
  server.devices.delete('pump-2')
  await until(has(/^1$/))
})

test('the chart shows the history and then each reading as it comes', { skip }, async () => {
  server.register('pump-1', 'pump', 'Hall 3')
  fillMinute('pump-1')
  const page = await signedIn()
  await until(() => hasText(page, '#chart-summary', /^60 points/))
  await until(isLive(page))
  await until(() => server.followed.has('pump-1'))
  server.post('pump-1', 'temperature', [Date.now(), 99.5])
  await until(() => hasText(page, '#chart-summary', /^61 points .*highest 99.5 °C/))
  await until(() => hasText(page, '#devices-rows', /temperature99.5 °C/))
  assert.equal(await page.textContent('#chart-about'), 'pump · Hall 3')
})

test(
  'an outage is shown, ends by itself, and what was said meanwhile is fetched',
  { skip },
  async () => {
    server.register('pump-1', 'pump')
    fillMinute('pump-1')
    const page = await signedIn()
    await until(() => hasText(page, '#chart-summary', /^60 points/))
    await until(() => server.followed.has('pump-1'))
    await server.stop()
    await until(() => hasText(page, '#connection-text', /lost/))
    server.post('pump-1', 'temperature', [Date.now(), 41], '°C')
    server.register('pump-2', 'pump')
    server.alerts.push(alert('missed', 'pump-1', 'firing'))
    await server.start()
    await until(isLive(page), 20_000)
    await until(() => hasText(page, '#chart-summary', /^61 points/))
    await until(() => hasText(page, '#alerts-list', /missed/))
    await until(() => hasText(page, '#devices-rows', /pump-2/))
    await until(() => server.followed.has('pump-2'))
    server.post('pump-1', 'temperature', [Date.now(), 42], '°C')
    await until(() => hasText(page, '#chart-summary', /^62 points/))
  },
)

test('a session that ends leads to the form and closes the stream', { skip }, async () => {
  server.register('pump-1', 'pump')
  const page = await signedIn()
  await until(isLive(page))
  server.endSessions()
  await server.stop()
  await server.start()
  await page.getByLabel('One-time code').waitFor({ timeout: 20_000 })
  await until(() => hasText(page, '#connection-text', /Signed out/))
  const asked = server.requests.length
  await page.getByLabel('One-time code').fill(server.makeCode())
  await page.keyboard.press('Enter')
  await until(isLive(page))
  assert.ok(server.requests.length > asked)
})

test(
  'rule events are shown and read aloud, fire before they resolve, and stay resolved',
  { skip },
  async () => {
    server.register('pump-1', 'pump')
    fillMinute('pump-1', 'flow')
    fillMinute('pump-1')
    server.register('pump-2', 'pump')
    server.alerts.push(alert('old', 'pump-2', 'resolved'))
    const page = await signedIn()
    await until(isLive(page))
    await until(() => hasText(page, '#alerts-list', /old/))
    const hot = alert('hot', 'pump-1', 'firing')
    server.push({ event: 'alert', data: { ...hot, values: { temperature: 91 } } })
    await until(() => hasText(page, '#alerts-announcement', /critical: hot firing on pump-1/))
    await until(() => hasText(page, '#alerts-list li:first-child', /hot.*firing for/))
    assert.equal(await page.textContent('#rate-firing'), '1')
    assert.equal(await page.locator('tr.is-firing').count(), 1)
    await page.locator('#alerts-list').getByRole('button', { name: 'pump-1' }).click()
    await until(() => page.url().endsWith('metric=temperature'))
    const resolved = { ...hot, state: 'resolved' as const, resolved_at: Date.now(), values: {} }
    server.push({ event: 'alert', data: resolved })
    await until(() => hasText(page, '#alerts-list', /hotresolved now, lasted/))
    server.push({ event: 'alert', data: hot })
    server.push({ event: 'alert', data: alert('later', 'pump-2', 'resolved') })
    await until(() => hasText(page, '#alerts-list', /later/))
    assert.equal(await page.textContent('#rate-firing'), '0')
    server.push({ event: 'alert', data: { ...hot, occurrences: 2 } })
    await until(() => hasText(page, '#alerts-list li:first-child', /firing for .*, 2 times/))
  },
)

test('an alert is acknowledged by a press, which the server is told', { skip }, async () => {
  server.register('pump-1', 'pump')
  server.alerts.push(alert('hot', 'pump-1', 'firing'))
  const page = await signedIn()
  await page.getByRole('button', { name: 'Acknowledge' }).click()
  await until(() => hasText(page, '#alerts-list', /acknowledged by page/))
  assert.equal(server.alerts[0]?.acknowledged?.by, 'page')
  assert.equal(await page.getByRole('button', { name: 'Acknowledge' }).count(), 0)
})

test('an anomaly leads to its chart', { skip }, async () => {
  server.register('pump-1', 'pump')
  server.register('pump-2', 'pump')
  fillMinute('pump-2', 'pressure')
  const anomaly = { id: 'n', device_id: 'pump-2', metric: 'pressure', detector_id: 'z' }
  server.anomalies.push({ ...anomaly, ts: Date.now(), value: 9, score: 5.25 })
  const page = await signedIn()
  await until(() => hasText(page, '#anomalies-list', /z 5\.3/))
  await page.locator('#anomalies-list').getByRole('button', { name: 'pump-2' }).click()
  await until(() => hasText(page, '#chart-summary', /^60 points/))
  assert.match(page.url(), /#device=pump-2&metric=pressure$/)
})

test('names and texts of devices stay inert', { skip }, async () => {
  const hostile = '<img src=x onerror=alert(1)>'
  server.register('pump-1', hostile, `"><script>alert(2)</script>`)
  server.post('pump-1', hostile, [Date.now(), hostile])
  server.alerts.push({ ...alert(hostile, 'pump-1', 'firing'), severity: hostile })
  const page = await signedIn()
  await until(() => hasText(page, '#chart-metrics', /onerror/))
  await until(() => hasText(page, '#alerts-list', /onerror/))
  assert.equal(await page.locator('main img, main script').count(), 0)
})

test('a link to a device that is gone says so and does not stop the rest', { skip }, async () => {
  server.register('pump-1', 'pump')
  const page = await signedIn('#device=gone')
  await until(() => hasText(page, '#chart-empty', /There is no|no such/i))
  await until(() => server.followed.has('pump-1'))
  await until(isLive(page))
})

test(
  '10,000 devices: the first rows at once, search and pages without a pause',
  { skip },
  async (t) => {
    for (let i = 0; i < 10_000; i++) server.register(`device-${i}`, 'generic', `Hall ${i % 40}`)
    const startedMs = performance.now()
    const page = await signedIn()
    await page.getByRole('button', { name: 'device-0', exact: true }).waitFor()
    const firstRowsMs = performance.now() - startedMs
    await until(() => hasText(page, '#devices-count', /^10,000$/))
    await until(() => server.requests.filter((path) => path.includes('limit=1000')).length === 10)
    const searchMs = await page.evaluate(searchTime, 'device-9999')
    assert.equal(await page.textContent('#devices-count'), '1 of 10,000')
    t.diagnostic(`first rows after ${firstRowsMs.toFixed()} ms, search ${searchMs.toFixed(1)} ms`)
    assert.ok(firstRowsMs < 3000, `first rows after ${firstRowsMs} ms`)
    assert.ok(searchMs < 100, `search took ${searchMs} ms`)
    await page.getByLabel('Search devices').fill('')
    await page.getByRole('button', { name: 'Next' }).click()
    await until(() => hasText(page, '#devices-page', /^13–24$/))
    // Only what is on the screen is asked for and followed.
    await until(() => server.followed.has('device-12') && server.followed.size <= 13)
    assert.equal(await page.locator('#devices-rows tr').count(), 12)
  },
)

test(
  'a chart of nearly 10,000 points is drawn within a few frames, and more are thinned',
  { skip },
  async (t) => {
    server.register('fast', 'generic')
    const nowMs = Date.now()
    for (let i = 0; i < 12_000; i++) {
      server.post('fast', 'signal', [nowMs - 240_000 + i * 20, Math.sin(i / 50)])
    }
    const page = await signedIn()
    await until(() => hasText(page, '#chart-summary', /points/))
    await until(() => server.followed.has('fast'))
    const push = (from: number, to: number): void => {
      for (let i = from; i < to; i++)
        server.post('fast', 'signal', [nowMs + i / 2, Math.cos(i / 50)])
    }
    push(0, 5500)
    await until(() => hasText(page, '#chart-summary', /^[89],\d\d\d points/))
    const longestMs = await page.evaluate(longestFrame)
    t.diagnostic(`longest frame ${longestMs.toFixed()} ms`)
    assert.ok(longestMs < 200, `a frame took ${longestMs} ms`)
    // Beyond 10,000 the history is asked for again, as coarse as the pixels allow.
    push(5500, 8000)
    await until(() => hasText(page, '#chart-summary', /^[23],\d\d\d points/))
  },
)

test('drawing over the chart zooms into it, and back', { skip }, async () => {
  server.register('pump-1', 'pump')
  fillMinute('pump-1')
  const page = await signedIn()
  await until(() => hasText(page, '#chart-summary', /^60 points/))
  const box = await page.locator('.u-over').boundingBox()
  assert.ok(box)
  await page.mouse.move(box.x + box.width * 0.85, box.y + 50)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * 0.95, box.y + 80, { steps: 4 })
  await page.mouse.up()
  await until(async () => !(await hasText(page, '#chart-summary', /^60 points/)))
  await page.getByRole('button', { name: 'Reset zoom' }).click()
  await until(() => hasText(page, '#chart-summary', /^60 points/))
})

test('the chart is read by keyboard, to the millisecond', { skip }, async () => {
  server.register('pump-1', 'pump')
  fillMinute('pump-1')
  const page = await signedIn()
  await until(() => hasText(page, '#chart-summary', /^60 points/))
  await page.focus('#chart-plot')
  await page.keyboard.press('End')
  await until(() => hasText(page, '.readout', /^21 °C\n.*\d\d:\d\d:\d\d\.\d{3}/))
  await page.keyboard.press('ArrowLeft')
  await until(() => hasText(page, '.readout', /^22 °C/))
})

test('states and texts are drawn as steps with their names', { skip }, async () => {
  server.register('pump-1', 'pump')
  const nowMs = Date.now()
  for (let s = 60; s > 0; s--) {
    server.post('pump-1', 'state', [nowMs - s * 1000, s % 20 < 10 ? 'idle' : 'heating'])
  }
  const page = await signedIn()
  await until(() => hasText(page, '#chart-summary', /^60 points$/))
  await page.focus('#chart-plot')
  await page.keyboard.press('End')
  await until(() => hasText(page, '.readout', /^idle\n/))
})

test('a phone shows everything without scrolling sideways', { skip }, async () => {
  server.register('a-device-with-a-rather-long-name-that-does-not-fit-in-a-row', 'pump')
  fillMinute('a-device-with-a-rather-long-name-that-does-not-fit-in-a-row')
  const page = await signedIn('', { viewport: { width: 360, height: 740 } })
  await until(() => hasText(page, '#chart-summary', /^60 points/))
  const [inner, scroll] = await page.evaluate(() => [
    innerWidth,
    document.documentElement.scrollWidth,
  ])
  assert.equal(scroll, inner)
})

function alert(rule: string, deviceId: string, state: 'firing' | 'resolved'): AlertBody {
  const times = { triggered_at: Date.now() - 60_000, since: Date.now() - 60_000 }
  const resolved_at = state === 'resolved' ? Date.now() - 30_000 : null
  const names = { id: rule, device_id: deviceId, rule_id: rule }
  return makeAlert({ ...names, state, ...times, resolved_at, values: {} })
}

/** In the page: ms from typing a search until its rows are laid out. */
function searchTime(text: string): number {
  const input = document.querySelector('#devices-search') as HTMLInputElement
  const startedMs = performance.now()
  input.value = text
  input.dispatchEvent(new Event('input'))
  document.body.getBoundingClientRect()
  return performance.now() - startedMs
}

/** In the page: the longest pause between two of the frames of 2.5 s. */
async function longestFrame(): Promise<number> {
  let longestMs = 0
  let previousMs = performance.now()
  const endMs = previousMs + 2500
  while (previousMs < endMs) {
    const nowMs = await new Promise<number>((resolve) => requestAnimationFrame(resolve))
    longestMs = Math.max(longestMs, nowMs - previousMs)
    previousMs = nowMs
  }
  return longestMs
}
