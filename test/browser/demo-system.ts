/** The real system with its simulated fleet, started as a newcomer starts it. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './chromium.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const START_DEADLINE_MS = 45_000

export class DemoSystem {
  readonly #child: ChildProcess
  readonly #folder: string
  #output = ''

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child
    this.#folder = folder
    child.stdout?.on('data', (bytes) => (this.#output += String(bytes)))
    child.stderr?.on('data', (bytes) => (this.#output += String(bytes)))
  }

  /** Resolves once the address with the sign-in code is printed. */
  static async start(devices: number): Promise<DemoSystem> {
    const folder = await mkdtemp(join(tmpdir(), 'weir-demo-'))
    const sizes = ['--devices', String(devices), '--interval', '0.5']
    const ports = ['--http-port', '0', '--mqtt-port', '0']
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', 'src/cli/weir.ts', 'demo', '--data', folder].concat(
        sizes,
        ports,
      ),
      { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const system = new DemoSystem(child, folder)
    try {
      await until(() => child.exitCode !== null || system.#has(/\?code=/), START_DEADLINE_MS)
      assert.equal(child.exitCode, null, `the demo ended: ${system.#output}`)
    } catch (error) {
      await system.stop()
      throw error
    }
    return system
  }

  /** The printed address of the page. */
  get signInUrl(): string {
    return this.#printed(/http:\/\/\S+\/\?code=\S+/)
  }

  /** The token of the reader's own device, out of the printed curl line. */
  get token(): string {
    return this.#printed(/Bearer ([\w-]+)/, 1)
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) {
      const exited = once(this.#child, 'exit')
      this.#child.kill('SIGTERM')
      await exited
    }
    await rm(this.#folder, { recursive: true, force: true })
  }

  #has(pattern: RegExp): boolean {
    return pattern.test(this.#output)
  }

  #printed(pattern: RegExp, group = 0): string {
    const found = pattern.exec(this.#output)?.[group]
    assert.ok(found !== undefined, `not printed: ${pattern} in ${this.#output}`)
    return found
  }
}
