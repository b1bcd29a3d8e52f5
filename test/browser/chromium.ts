/** Chromium for the browser tests: found or the tests say that they were skipped. */
import { accessSync, constants } from 'node:fs'
import assert from 'node:assert/strict'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const executablePath = PLACES.find(isExecutable)

/** For `test(name, { skip }, …)`. */
export const skip: string | false =
  executablePath === undefined ? 'chromium is not installed' : false

const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export function launchChromium(): Promise<Browser> {
  assert.ok(executablePath !== undefined)
  return chromium.launch({ executablePath, args: ARGUMENTS })
}

export interface WatchedPage {
  page: Page
  /** Uncaught errors, violations of the content policy, requests to other servers. */
  faults: string[]
}

/** A fresh person: own cookies, and everything that must never happen is written down. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ locale: 'en-GB', ...options })
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(`error: ${error.stack ?? error.message}`))
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text())
  })
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    const { hostname } = new URL(request.url())
    if (hostname !== '127.0.0.1') faults.push(`request to ${hostname}`)
  })
  page.setDefaultTimeout(10_000)
  return { page, faults }
}

/** Waits until `condition` holds; fails with its text after `deadlineMs`. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  deadlineMs = 10_000,
): Promise<void> {
  const endMs = performance.now() + deadlineMs
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, `not within ${deadlineMs} ms: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
