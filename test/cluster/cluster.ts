/**
 * Real services on loopback: started once, used by any number of test runs, stopped by pid.
 *
 * Programs are downloaded once into a cache, WEIR_CLUSTER_CACHE or the user's own cache folder.
 * Addresses, passwords and pids are in its `cluster.json`, which only its owner can read.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { FLINK } from './flink.ts'
import { INFLUXDB } from './influxdb.ts'
import { KAFKA } from './kafka.ts'
import { MINIO } from './minio.ts'
import { MINIO_ARCHIVE } from './minio-archive.ts'
import { MOTO } from './moto.ts'
import { POSTGRES } from './postgres.ts'
import { isRunning, kill, launch, stop, untilReady, type Started } from './process.ts'
import { QUESTDB } from './questdb.ts'
import type { Access, Places, Recipe } from './recipe.ts'
import { REDIS } from './redis.ts'
import { TIMESCALEDB } from './timescaledb.ts'
import { TRINO } from './trino.ts'
import { VICTORIA_METRICS } from './victoriametrics.ts'

export const RECIPES: readonly Recipe[] = [
  ...[KAFKA, POSTGRES, TIMESCALEDB, REDIS, MINIO],
  ...[INFLUXDB, QUESTDB, VICTORIA_METRICS, MOTO],
  // After MinIO, which it looks into.
  TRINO,
  FLINK,
  MINIO_ARCHIVE,
]
export const SERVICES: readonly string[] = RECIPES.map(({ name }) => name)

export const CACHE =
  process.env['WEIR_CLUSTER_CACHE'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weir-cluster')
export const STATE_FILE = join(CACHE, 'cluster.json')

/** What `cluster.json` holds: services that were started and not stopped. */
interface ClusterState {
  services: Record<string, Service>
}

interface Service {
  access: Access
  processes: Started[]
  /** Its data and logs. */
  data: string
}

function readState(): ClusterState {
  if (!existsSync(STATE_FILE)) return { services: {} }
  return JSON.parse(readFileSync(STATE_FILE, 'utf8')) as ClusterState
}

function writeState(state: ClusterState): void {
  writeFileSync(STATE_FILE, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
}

const runs = (service: Service | undefined): service is Service =>
  service !== undefined && service.processes.every(isRunning)

/**
 * Starts these services; without names, those that can be had of all that are cheap. Returns why
 * others could not.
 */
export async function up(
  names: readonly string[],
  options: { brokers: number; say: (line: string) => void },
): Promise<Map<string, string>> {
  const recipes =
    names.length === 0
      ? RECIPES.filter(({ isOnlyByName }) => isOnlyByName !== true)
      : recipesOf(names)
  mkdirSync(CACHE, { recursive: true, mode: 0o700 })
  const missing = new Map<string, string>()
  for (const recipe of recipes) {
    const service = readState().services[recipe.name]
    if (runs(service)) continue
    if (service !== undefined) await remove(recipe.name)
    const reason = recipe.missing() ?? tryInstall(recipe, options.say)
    if (reason === undefined) await start(recipe, options)
    else missing.set(recipe.name, reason)
  }
  return missing
}

/** Returns why it could not be downloaded or built. */
function tryInstall(recipe: Recipe, say: (line: string) => void): string | undefined {
  try {
    recipe.install(CACHE, say)
    return undefined
  } catch (error) {
    return `it could not be installed: ${(error as Error).message}`
  }
}

async function start(
  recipe: Recipe,
  { say, brokers }: { brokers: number; say: (line: string) => void },
): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), `weir-cluster-${recipe.name}-`))
  // PostgreSQL runs as another user, who must get through to its own folder.
  chmodSync(data, 0o711)
  const places: Places = { cache: CACHE, data }
  const startMs = performance.now()
  const launched: Started[] = []
  try {
    const access = await recipe.start(places, {
      ...{ brokers, accessOf },
      launched: (one) => launched.push(one),
    })
    await untilReady(recipe.name, launched, () => recipe.answers(access))
    const service = { access, processes: launched, data }
    writeState({ services: { ...readState().services, [recipe.name]: service } })
    say(`${recipe.name} is ready after ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
  } catch (error) {
    await Promise.all(launched.map(kill))
    rmSync(data, { recursive: true, force: true })
    throw error
  }
}

export async function down(names: readonly string[], say: (line: string) => void): Promise<void> {
  for (const { name } of recipesOf(names)) {
    if (readState().services[name] === undefined) continue
    await remove(name)
    say(`${name} is stopped`)
  }
}

async function remove(name: string): Promise<void> {
  const { [name]: service, ...services } = readState().services
  if (service === undefined) return
  await Promise.all(service.processes.map(stop))
  rmSync(service.data, { recursive: true, force: true })
  writeState({ services })
}

/** `kill -9` of all its processes, or of the one at this place. Its data stays. */
export async function killService(name: string, place?: number): Promise<void> {
  const { processes } = known(name)
  await Promise.all((place === undefined ? processes : [processes[place]!]).map(kill))
}

/** Starts what has ended of a service again, on the same data and ports. */
export async function restartService(name: string): Promise<void> {
  const { services } = readState()
  const service = known(name)
  const processes = service.processes.map((one) => (isRunning(one) ? one : launch(one)))
  writeState({ services: { ...services, [name]: { ...service, processes } } })
  const [recipe] = recipesOf([name])
  await untilReady(name, processes, () => recipe!.answers(service.access))
}

/** Of its processes, in their order. */
export const pidsOf = (name: string): number[] => known(name).processes.map(({ pid }) => pid)

function known(name: string): Service {
  const service = readState().services[name]
  if (service === undefined) throw new Error(`${name} was not started`)
  return service
}

/**
 * How to reach a service that runs; undefined when it does not, or when WEIR_CLUSTER is off: where
 * several files are tested at once, one would kill what another is using.
 */
export function accessOf(name: string): Access | undefined {
  if (process.env['WEIR_CLUSTER'] === 'off') return undefined
  const service = readState().services[name]
  return runs(service) ? service.access : undefined
}

function recipesOf(names: readonly string[]): readonly Recipe[] {
  if (names.length === 0) return RECIPES
  return names.map((name) => {
    const recipe = RECIPES.find((one) => one.name === name)
    if (recipe !== undefined) return recipe
    throw new Error(`there is no service ${name}; there are ${SERVICES.join(', ')}`)
  })
}

export function status(say: (line: string) => void): void {
  const { services } = readState()
  for (const recipe of RECIPES) {
    const { name } = recipe
    const service = services[name]
    const missing = recipe.missing()
    const pids = service?.processes.map(({ pid }) => pid).join(', ')
    if (service === undefined)
      say(`${name}: stopped${missing === undefined ? '' : ` (${missing})`}`)
    else say(`${name}: ${runs(service) ? `runs, pid ${pids}` : 'was started, and has ended'}`)
  }
}
