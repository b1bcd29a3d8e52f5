/**
 * What does Weir cost when nothing happens: time to start, memory when idle, memory of an idle MQTT
 * connection; beside a bare Node socket server, aedes and Mosquitto.
 */
import { openIdleConnections } from './idle-connections.ts'
import { anonymousClients, startAedes, startMosquitto, startSink } from './peers.ts'
import { openFilesMax, residentBytes } from './process-figures.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const WANTED = numberFlag('connections', 20_000)
/** Files that a server has open besides its connections. */
const OTHER_FILES = 300
const CONNECTIONS = Math.min(WANTED, openFilesMax() - OTHER_FILES)
const STARTS = numberFlag('starts', isQuick ? 1 : 5)
const SETTLE_MS = isQuick ? 3000 : 10_000

const reporter = new Reporter('footprint', 'start to ready, memory when idle, bytes a connection')

if (CONNECTIONS < WANTED)
  reporter.note(`${CONNECTIONS} connections: a process may open no more files here`)

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLE_MS))

interface Subject {
  name: string
  port: number
  pid: number
}

async function measureConnections(
  { name, port, pid }: Subject,
  clients: { name: string; secret: string }[],
): Promise<void> {
  // A first thousand lets the server allocate what it needs once, whatever their number.
  const first = await openIdleConnections(port, clients.slice(0, 1000))
  await settle()
  const before = residentBytes(pid)
  const rest = await openIdleConnections(port, clients.slice(1000))
  await settle()
  const after = residentBytes(pid)
  for (const socket of [...first, ...rest]) socket.destroy()
  if (before === undefined || after === undefined)
    return reporter.note(`${name}: memory is only read on Linux`)
  const bytes = (after - before) / (clients.length - 1000)
  reporter.add(`${name}: idle connection, ${clients.length} of them`, bytes, 'B')
}

async function measureWeir(): Promise<void> {
  const readyMs: number[] = []
  for (let start = 1; start < STARTS; start++) {
    const server = await WeirServer.start()
    readyMs.push(server.readyMs)
    await server.stop()
  }
  const server = await WeirServer.start()
  try {
    readyMs.push(server.readyMs)
    reporter.add('Weir: start to ready, median', median(readyMs) / 1000, 's')
    await settle()
    const idle = residentBytes(server.pid)
    if (idle !== undefined) reporter.add('Weir: RSS idle', idle / 2 ** 20, 'MiB')
    // Ten connections a device: what counts is a connection, and registration is not measured.
    const devices = Array.from({ length: Math.ceil(CONNECTIONS / 10) }, (_, i) => `idle-${i}`)
    const tokens = await server.register(devices.map((id) => ({ id, type: 'generic' })))
    const clients = Array.from({ length: CONNECTIONS }, (_, i) => ({
      name: devices[Math.floor(i / 10)] ?? '',
      secret: tokens[Math.floor(i / 10)] ?? '',
    }))
    await measureConnections({ name: 'Weir', port: server.mqttPort, pid: server.pid }, clients)
  } finally {
    await server.stop()
  }
}

await measureWeir()
const peers = isQuick ? [startSink] : [startSink, startAedes, startMosquitto]
for (const start of peers) {
  const peer = await start()
  if (peer === undefined) {
    reporter.note(`${start.name.replace('start', '')} is not installed`)
    continue
  }
  try {
    const name = peer.name === 'sink' ? 'bare Node socket' : `${peer.name} ${peer.version}`
    const clients = anonymousClients(CONNECTIONS, CONNECTIONS)
    await measureConnections({ ...peer, name }, clients)
  } finally {
    await peer.stop()
  }
}
if (isQuick) reporter.note('aedes and Mosquitto are only measured in the full run')
reporter.finish()
