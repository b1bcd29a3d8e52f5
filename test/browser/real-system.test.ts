/** A newcomer's way: the demo is started, its printed address opened, its printed token used. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { launchChromium, openPage, skip, until } from './chromium.ts'
import { DemoSystem } from './demo-system.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

let system: DemoSystem
let browser: Browser
let page: Page
let faults: string[]

before(async () => {
  if (skip) return
  execFileSync(process.execPath, ['src/web/build.ts'], { cwd: root })
  system = await DemoSystem.start(10)
  browser = await launchChromium()
  const opened = await openPage(browser)
  page = opened.page
  faults = opened.faults
  await page.goto(system.signInUrl)
})
after(async () => {
  await browser?.close()
  await system?.stop()
})

const hasText = async (selector: string, pattern: RegExp): Promise<boolean> =>
  pattern.test((await page.textContent(selector)) ?? '')

async function send(metrics: Record<string, unknown>): Promise<void> {
  const response = await fetch(`${new URL(page.url()).origin}/v1/devices/my-device/telemetry`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${system.token}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ metrics }),
  })
  assert.equal(response.status, 200, await response.text())
}

test('the printed address signs in, and shows a fleet that speaks', { skip }, async () => {
  await until(() => hasText('#connection-text', /^Live$/))
  assert.equal(new URL(page.url()).search, '')
  await until(() => hasText('#devices-count', /^11$/))
  await until(() => hasText('#rate-readings', /^[1-9]/))
})

test('the printed address works once', { skip }, async () => {
  const other = await openPage(browser)
  await other.page.goto(system.signInUrl)
  await other.page.getByLabel('One-time code').waitFor()
  assert.match((await other.page.textContent('#sign-in-problem')) ?? '', /used already/)
  await other.page.context().close()
  assert.deepEqual(other.faults, [])
})

test('the chart of the first device grows by itself', { skip }, async () => {
  await until(() => hasText('#chart-summary', /^\d+ points/))
  const count = async (): Promise<number> =>
    Number.parseInt((await page.textContent('#chart-summary')) ?? '', 10)
  const first = await count()
  await until(async () => (await count()) >= first + 3)
})

test('what the reader sends is seen within 2 s of its acknowledgement', { skip }, async () => {
  await page.getByLabel('Search devices').fill('my-device')
  await page.getByRole('button', { name: 'my-device', exact: true }).click()
  await until(() => hasText('#chart-empty', /curl/))
  await send({ temperature: 21.5, door: true, state: 'idle' })
  await until(() => hasText('#chart-metrics', /temperature21.5/), 2000)
  await until(() => hasText('#chart-summary', /^1 point$|^1 point /), 2000)
  await send({ temperature: 22.5 })
  await until(() => hasText('#chart-summary', /^2 points .*highest 22.5/), 2000)
  await until(() => hasText('#devices-rows', /doortrue/), 2000)
})

test('a reload keeps the chosen chart and finds the same points', { skip }, async () => {
  await page.reload()
  await until(() => hasText('#chart-title', /^my-device$/))
  await until(() => hasText('#chart-summary', /^2 points .*highest 22.5/))
})

test('the demo’s first alert shows within a minute', { skip }, async () => {
  await until(() => hasText('#alerts-list', /pump-01pump-hot/), 60_000)
})

test('nothing that must never happen has happened', { skip }, () => {
  assert.deepEqual(faults, [])
})
