/** Programs of other people that outlive the command that starts them; ended by their pid. */
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import { until } from '../system/weir-process.ts'

const READY_DEADLINE_MS = 90_000
/** A broker writes its state down before it ends. */
const STOP_DEADLINE_MS = 20_000

/** What a program is told, and whom it runs as. */
interface Launch {
  command: string
  parameters: readonly string[]
  log: string
  environment?: Record<string, string>
  user?: { uid: number; gid: number } | undefined
}

/** A started program, as `cluster.json` keeps it: enough to start it again. */
export interface Started extends Launch {
  pid: number
  /** When the kernel started it, in its ticks: a pid alone may be somebody else's by now. */
  startTicks: string
}

export function launch(what: Launch): Started {
  const { command, parameters, log, environment = {}, user } = what
  const output = openSync(log, 'a')
  const child = spawn(command, parameters, {
    detached: true,
    stdio: ['ignore', output, output],
    env: { ...process.env, ...environment },
    ...user,
  })
  closeSync(output)
  child.unref()
  if (child.pid === undefined) throw new Error(`${command} cannot be started: is it installed?`)
  return { ...what, pid: child.pid, startTicks: startTicksOf(child.pid) ?? '' }
}

/** The 22nd field of /proc/PID/stat; undefined when there is no such process. */
function startTicksOf(pid: number): string | undefined {
  const path = `/proc/${pid}/stat`
  if (!existsSync(path)) return undefined
  const stat = readFileSync(path, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? undefined : fields[19]
}

export const isRunning = ({ pid, startTicks }: Started): boolean => startTicksOf(pid) === startTicks

export async function stop(started: Started): Promise<void> {
  if (!isRunning(started)) return
  process.kill(started.pid, 'SIGTERM')
  await until('it ends', () => !isRunning(started), STOP_DEADLINE_MS).catch(() => kill(started))
}

/**
 * `kill -9` of the program and all it started. Each program is the first of a group of its own, but
 * PostgreSQL's processes make groups themselves, and would hold its memory until they notice.
 */
export async function kill(started: Started): Promise<void> {
  if (!isRunning(started)) return
  const { pid } = started
  // So that it starts no more of them meanwhile.
  process.kill(pid, 'SIGSTOP')
  const children = childrenOf(pid)
  process.kill(-pid, 'SIGKILL')
  for (const child of children) killIfThere(child)
  // Until its parent has heard of it, its pid is in use: PostgreSQL would take it for itself.
  const isGone = (one: number): boolean => !existsSync(`/proc/${one}`)
  await until('its pid is free', () => [pid, ...children].every(isGone), STOP_DEADLINE_MS)
}

function childrenOf(pid: number): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return list.split(' ').filter(Boolean).map(Number)
}

/** It may have been in the group, and be gone by now. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Waits until the service answers. Throws with the end of a log when it does not. */
export async function untilReady(
  name: string,
  processes: readonly Started[],
  isReady: () => Promise<boolean>,
): Promise<void> {
  try {
    await until(
      `${name} answers`,
      async () => {
        if (!processes.every(isRunning)) throw new Error(`${name} ended at once`)
        return isReady()
      },
      READY_DEADLINE_MS,
    )
  } catch (error) {
    const { log } = processes.find((one) => !isRunning(one)) ?? processes[0]!
    throw new Error(`${String(error)}\n${endOf(log)}`, { cause: error })
  }
}

const endOf = (log: string): string => readFileSync(log, 'utf8').slice(-3000)

/** Different for each service that is started. */
export const createPassword = (): string => randomBytes(18).toString('base64url')

/** Sends `question` and tells whether the answer begins with `expected`; both may be empty. */
export function answers(port: number, question = '', expected = ''): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const settle = (isRight: boolean): void => {
      socket.destroy()
      resolve(isRight)
    }
    socket.setTimeout(1000, () => settle(false))
    socket.once('error', () => settle(false))
    socket.once('connect', () => {
      if (question === '') settle(true)
      else socket.write(question)
    })
    socket.once('data', (bytes) => settle(String(bytes).startsWith(expected)))
  })
}

/** Where a program lies: in PATH, or in one of these folders. */
export function findProgram(name: string, folders: readonly string[] = []): string | undefined {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), ...folders]
  return places.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

/** Runs a program to its end. Throws with what it said when it fails. */
export function execute(
  command: string,
  parameters: readonly string[],
  options: {
    cwd?: string
    environment?: Record<string, string>
    user?: { uid: number; gid: number } | undefined
  } = {},
): string {
  const { cwd, environment, user } = options
  const { status, stdout, stderr, error } = spawnSync(command, parameters, {
    encoding: 'utf8',
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...environment },
    ...user,
  })
  if (error !== undefined) throw new Error(`${command}: ${error.message}`, { cause: error })
  if (status !== 0) throw new Error(`${command} ended with code ${status}.\n${stdout}\n${stderr}`)
  return stdout
}
