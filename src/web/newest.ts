/** Sorts by time, newest first, and forgets what is beyond `max`. */
export function newest<T>(events: Map<string, T>, max: number, timeMs: (event: T) => number): T[] {
  const sorted = [...events].sort(([, a], [, b]) => timeMs(b) - timeMs(a))
  for (const [id] of sorted.splice(max)) events.delete(id)
  return sorted.map(([, event]) => event)
}
