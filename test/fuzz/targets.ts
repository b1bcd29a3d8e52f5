/** All that is fuzzed. Read when it is asked for, since some open what they need. */
import type { FuzzTarget } from './claim.ts'

export const TARGETS: Record<string, () => Promise<FuzzTarget>> = {
  mqtt: async () => (await import('./mqtt.ts')).mqttTarget,
  telemetry: async () => (await import('./telemetry.ts')).telemetryTarget,
  formats: async () => (await import('./formats.ts')).formatsTarget,
  stored: async () => (await import('./stored.ts')).storedTarget,
  documents: async () => (await import('./documents.ts')).documentsTarget,
  files: async () => (await import('./files.ts')).filesTarget,
  http: async () => (await import('./http.ts')).httpTarget,
}
