import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseAddress, refusalOfAddress } from './address-guard.ts'
import { openDnsServer } from './dns-fixture.ts'
import { checkEndpoint, resolveEndpoint, systemResolve } from './endpoint.ts'

const FORBIDDEN = [
  ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.127.255.255'],
  ...['127.0.0.1', '127.255.255.255', '169.254.169.254', '172.16.0.1', '172.31.255.255'],
  ...['192.0.0.192', '192.0.2.1', '192.168.0.1', '198.18.0.1', '198.19.255.255', '198.51.100.1'],
  ...['203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
  ...['168.63.129.16', '100.100.100.200', '192.88.99.1'],
  ...['::', '::1', 'fe80::1', 'fec0::1', 'fc00::1', 'fd00:ec2::254', 'ff02::1'],
  ...['::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:7f00:1', '::127.0.0.1', '64:ff9b::a00:1'],
  ...['64:ff9b:1::a00:1', '2001::1', '2001:db8::1', '2002:7f00:1::', '100::1', '3fff::1'],
  ...['5f00::1', '4000::1', 'fe80::1%eth0', '', 'localhost', '1.2.3', '01.2.3.4', '1.2.3.256'],
]
const ALLOWED = [
  ...['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0'],
  ...['126.255.255.255', '128.0.0.0', '169.253.255.255', '172.15.255.255', '172.32.0.0'],
  ...['192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255'],
  ...['2606:4700:4700::1111', '2a00:1450:4001::200e', '2001:4860:4860::8888', '2003::1'],
]

test('Private, special and malformed addresses are refused, those of the internet are not', () => {
  for (const address of FORBIDDEN) assert.ok(refusalOfAddress(address) !== undefined, address)
  for (const address of ALLOWED) assert.equal(refusalOfAddress(address), undefined, address)
})

/** Node's own way of deciding the same, over the ranges that most depends on. */
const NODES = new BlockList()
for (const [network, bits] of [
  ...([
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
  ] as const),
  ...([
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
    ['224.0.0.0', 3],
  ] as const),
] as const)
  NODES.addSubnet(network, bits)

test('What Node’s block list holds of private IPv4 is refused, for any address', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      if (NODES.check(address)) assert.ok(refusalOfAddress(address) !== undefined)
    }),
    { numRuns: 2000 },
  )
})

test('Addresses are read as Node reads them, in every way of writing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 20 })), (text) => {
      assert.equal(parseAddress(text) !== undefined, isIP(text) !== 0, text)
    }),
    { numRuns: 3000 },
  )
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1)
      assert.equal(parseAddress(text)?.value, parseAddress(canonical)?.value)
    }),
  )
})

test('Each delivery asks again: public when it was checked, private the next time', async () => {
  let questions = 0
  const dns = await openDnsServer(() => [questions++ === 0 ? '93.184.216.34' : '169.254.169.254'])
  try {
    const url = checkEndpoint('https://rebinding.example/', {})
    assert.deepEqual(await resolveEndpoint(url, {}, dns.resolve), ['93.184.216.34'])
    await assert.rejects(resolveEndpoint(url, {}, dns.resolve), {
      code: 'NOTIFY_ADDRESS_FORBIDDEN',
    })
  } finally {
    dns.close()
  }
})

test('A name without an address may have one later', async () => {
  const dns = await openDnsServer(() => [])
  try {
    const url = checkEndpoint('https://nothing.example/', {})
    await assert.rejects(resolveEndpoint(url, {}, dns.resolve), { code: 'NOTIFY_UNAVAILABLE' })
  } finally {
    dns.close()
  }
})

test('The system’s resolver knows the names of this machine, and they are refused', async () => {
  const url = checkEndpoint('https://localhost/', {})
  await assert.rejects(resolveEndpoint(url, {}, systemResolve), {
    code: 'NOTIFY_ADDRESS_FORBIDDEN',
  })
  const allowed = await resolveEndpoint(url, { allowPrivate: true }, systemResolve)
  assert.ok(allowed.some((address) => address === '127.0.0.1' || address === '::1'))
})
