/**
 * An installation of its own for one test: topics under a prefix and tables in a schema that nobody
 * else uses, on the services of `cluster.json`. Its processes are real, and die by their pid.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { makeFolder, spawnWeir, weir, WeirProcess, type Running } from '../system/weir-process.ts'
import { accessOf, killService, restartService } from './cluster.ts'
import { skip as skipFlink } from './flink-fixture.ts'
import { cancelJob, flinkSection } from './flink-section.ts'

/** Why nothing here can run, or undefined when it can. */
export const skip =
  skipFlink ??
  (accessOf('postgres') === undefined
    ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres'
    : undefined)

export const skipWithoutRedis =
  skip ??
  (accessOf('redis') === undefined
    ? 'Redis does not run: npm run -s cluster:up -- redis'
    : undefined)

/** A test, or whoever else cleans up behind it. */
export interface Owner {
  after(clean: () => Promise<void>): void
}

let installations = 0

export interface InstallationOptions {
  /** Text of a pipeline definition; the same for all processes. */
  pipeline?: string
  partitions?: number
  /** `postgres.stores`; without them hot storage is where the registry is. */
  stores?: readonly string[]
  /** In the section `flink`. */
  flink?: Record<string, unknown>
  /** Further sections of the configuration, as lines of YAML. */
  more?: string
}

export class Installation {
  readonly folder: string
  readonly name: string
  readonly partitions: number
  readonly brokers: readonly string[]
  readonly #options: InstallationOptions
  readonly #processes = new Map<string, WeirProcess>()
  readonly #database: pg.Pool
  readonly #killed = new Set<string>()

  static async open(t: Owner, options: InstallationOptions = {}): Promise<Installation> {
    return new Installation(t, await makeFolder(t), options)
  }

  private constructor(context: Owner, folder: string, options: InstallationOptions) {
    this.folder = folder
    this.name = `weir_test_${process.pid}_${++installations}`
    this.partitions = options.partitions ?? 4
    this.brokers = (accessOf('kafka')?.['brokers'] ?? '').split(',')
    this.#options = options
    this.#database = new pg.Pool({ connectionString: this.postgresUrl, max: 2 })
    // A test may kill the server under it.
    this.#database.on('error', () => undefined)
    this.#database.on('connect', (client) => client.on('error', () => undefined))
    context.after(() => this.#close())
  }

  get postgresUrl(): string {
    return accessOf('postgres')?.['url'] ?? ''
  }

  /** What an operator would write. Without Redis where that does not run. */
  config(): string {
    const redis = accessOf('redis')?.['url']
    const { stores = [], flink } = this.#options
    return [
      'kafka:',
      `  brokers: [${this.brokers.map((one) => JSON.stringify(one)).join(', ')}]`,
      `  topicPrefix: ${this.name}`,
      `  partitions: ${this.partitions}`,
      `  replication: ${Math.min(3, this.brokers.length)}`,
      'postgres:',
      `  url: ${JSON.stringify(this.postgresUrl)}`,
      `  schema: ${this.name}`,
      `  stores: ${JSON.stringify(stores)}`,
      ...(redis === undefined ? [] : [`redis: { url: ${JSON.stringify(redis)} }`]),
      `flink: ${JSON.stringify({ ...flinkSection(this.name), ...flink })}`,
      this.#options.more ?? '',
    ].join('\n')
  }

  /** Starts a process and does not wait for it. Each name has a data folder of its own. */
  async spawn(role: string, name = role, config = this.config()): Promise<Running> {
    const folder = join(this.folder, name)
    await mkdir(folder, { recursive: true })
    const { pipeline } = this.#options
    return spawnWeir({ folder, role, config, ...(pipeline !== undefined && { pipeline }) })
  }

  /** Resolves once the process says that it is ready. */
  async start(role: string, name = role, config = this.config()): Promise<WeirProcess> {
    const running = await this.spawn(role, name, config)
    const weir = await WeirProcess.ready(running, join(this.folder, name))
    this.#processes.set(name, weir)
    return weir
  }

  /** `kill -9`. */
  async kill(name: string): Promise<void> {
    await this.process(name).kill()
  }

  process(name: string): WeirProcess {
    const weir = this.#processes.get(name)
    assert.ok(weir !== undefined, `${name} was not started`)
    return weir
  }

  /** Types `weir flink`. */
  flink(...words: string[]): Running {
    const config = join(this.folder, 'cluster.yaml')
    writeFileSync(config, this.config(), { mode: 0o600 })
    return weir(['flink', ...words, '--config', config])
  }

  /** The same, to its good end: what it prints. */
  async flinkDoes(...words: string[]): Promise<string> {
    const typed = this.flink(...words)
    assert.equal(await typed.end(), 0, `${typed.output}\n${this.output}`)
    return typed.stdout
  }

  /** A file with this pipeline. */
  writePipeline(name: string, text: string): string {
    const file = join(this.folder, name)
    writeFileSync(file, text)
    return file
  }

  /** What all processes said, the end of it. */
  get output(): string {
    return [...this.#processes]
      .map(([name, { running }]) => `--- ${name}\n${running.output}`)
      .join('\n')
  }

  /** Kills a service, or one process of it, which runs again before the next test. */
  async killService(service: string, place?: number): Promise<void> {
    this.#killed.add(service)
    await killService(service, place)
  }

  async #close(): Promise<void> {
    for (const service of this.#killed) await restartService(service)
    await cancelJob(this.name)
    await this.ask(`DROP SCHEMA IF EXISTS ${this.name} CASCADE`)
    await this.#database.end()
  }

  /** Rows of a statement, with the schema of this installation as its search_path. */
  async ask<Row extends pg.QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<Row[]> {
    const client = await this.#database.connect()
    try {
      await client.query(`SET search_path = ${this.name}`)
      return (await client.query<Row>(text, [...values])).rows
    } finally {
      client.release()
    }
  }
}
