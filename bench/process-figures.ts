/** What the kernel says about a process; undefined where there is no /proc. */
import { readdirSync, readFileSync } from 'node:fs'

function statusBytes(pid: number, field: string): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const kib = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]
    return kib === undefined ? undefined : Number(kib) * 1024
  } catch {
    return undefined
  }
}

export const residentBytes = (pid: number): number | undefined => statusBytes(pid, 'VmRSS')

/** The most that was ever resident. */
export const residentPeakBytes = (pid: number): number | undefined => statusBytes(pid, 'VmHWM')

/** Files, sockets, pipes and all else that has a descriptor. */
export function openHandles(pid: number): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).length
  } catch {
    return undefined
  }
}

/** How many files this process may open: the hard limit, to which Node raises itself. */
export function openFilesMax(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    return Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? Infinity)
  } catch {
    return Infinity
  }
}
