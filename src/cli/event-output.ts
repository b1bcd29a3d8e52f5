/** Where events go: one line each to stderr, for people on a terminal, as JSON everywhere else. */
import { createEvents, Registry, type EventLevel, type Events } from '../observe/observe.ts'
import { nodeWorld } from '../world/node-world.ts'

export function openEvents(format: 'human' | 'json' | undefined, level: EventLevel): Events {
  return createEvents({
    clock: nodeWorld.clock,
    registry: new Registry(),
    write: (line) => void process.stderr.write(line),
    format: format ?? (process.stderr.isTTY ? 'human' : 'json'),
    level,
  })
}
