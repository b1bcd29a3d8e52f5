/** The lines that a newcomer pastes into a terminal; $ADMIN_KEY and $TOKEN are printed there. */
const JSON_HEADER = '-H "Content-Type: application/json"'

export function registerCommand(deviceId: string): string {
  return `curl ${location.origin}/v1/devices \\
  -H "Authorization: Bearer $ADMIN_KEY" ${JSON_HEADER} \\
  -d '{"id": "${deviceId}", "type": "generic"}'`
}

/** Device ids are encoded in the path, so that a strange one cannot end the quoting. */
export function telemetryCommand(deviceId: string): string {
  const path = `${location.origin}/v1/devices/${encodeURIComponent(deviceId)}/telemetry`
  return `curl ${path.replaceAll("'", '%27')} \\
  -H "Authorization: Bearer $TOKEN" ${JSON_HEADER} \\
  -d '{"metrics": {"temperature": 21.5}}'`
}
