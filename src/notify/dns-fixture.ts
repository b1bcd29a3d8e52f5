/** A DNS server on loopback (RFC 1035) that answers each question for A as a test wants. */
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import type { Resolve } from './endpoint.ts'

const HEADER_BYTES = 12
const TYPE_A = 1
/** Nobody may keep the answer. */
const TTL_SECONDS = 0

export interface DnsServer {
  /** Asks this server alone. */
  resolve: Resolve
  close(): void
}

export async function openDnsServer(answer: () => readonly string[]): Promise<DnsServer> {
  const socket = createSocket('udp4')
  socket.on('message', (question, { port, address }) => {
    socket.send(answerTo(question, answer), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const resolver = new Resolver({ timeout: 2000, tries: 1 })
  resolver.setServers([`127.0.0.1:${socket.address().port}`])
  return {
    resolve: (name) => resolver.resolve4(name),
    close: () => void socket.close(),
  }
}

/**
 *    id | flags | 1 question | n answers | 0 | 0      six words
 *    name | type | class                              the question again
 *    0xC00C (its name) | A | IN | TTL | 4 | address   each answer
 */
function answerTo(question: Buffer, answer: () => readonly string[]): Buffer {
  let end = HEADER_BYTES
  while (question[end] !== 0) end += question[end]! + 1
  const asked = question.subarray(HEADER_BYTES, end + 5)
  const addresses = question.readUInt16BE(end + 1) === TYPE_A ? answer() : []
  const header = Buffer.alloc(HEADER_BYTES)
  question.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8180, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(addresses.length, 6)
  const answers = addresses.map((address) => {
    const record = Buffer.alloc(16)
    record.writeUInt16BE(0xc00c, 0)
    record.writeUInt16BE(TYPE_A, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt32BE(TTL_SECONDS, 6)
    record.writeUInt16BE(4, 10)
    record.set(address.split('.').map(Number), 12)
    return record
  })
  return Buffer.concat([header, asked, ...answers])
}
