/**
 * The package as somebody else gets it: packed, installed from the registry into an empty folder,
 * and used by the command that the installation put there.
 */
import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { filesUnder, readText } from '../tidy/sources.ts'
import {
  makeFolder,
  missingTool,
  readPorts,
  ROOT,
  run,
  Running,
  spawnWeir,
  until,
  weir as sourceWeir,
  WeirProcess,
} from './weir-process.ts'

const { version } = JSON.parse(readText('package.json')) as { version: string }
const bashMissing = await missingTool('bash')

/** How npm says that it cannot reach the registry. */
const UNREACHABLE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT/
const PATIENCE = ['--fetch-retries=1', '--fetch-retry-mintimeout=1000', '--fetch-timeout=20000']
const QUIET = ['--no-audit', '--no-fund', '--loglevel=error']

/** Packs and installs; says why the tests cannot run, when npm cannot reach its registry. */
async function install(folder: string): Promise<string | false> {
  const pack = ['pack', '--silent', '--pack-destination', folder]
  const packed = await run('npm', pack, { cwd: ROOT })
  assert.equal(packed.code, 0, packed.stdout + packed.stderr)
  const target = ['install', '--prefix', folder, '--prefer-offline', ...PATIENCE, ...QUIET]
  const tarball = join(folder, `weir-${version}.tgz`)
  const installed = await run('npm', [...target, tarball], { cwd: folder })
  if (installed.code === 0) return false
  const reason = UNREACHABLE.exec(installed.stderr)?.[0]
  assert.ok(reason !== undefined, installed.stderr)
  return `npm cannot reach its registry: ${reason}`
}

const folder = await makeFolder({ after })
const skip = await install(folder)
const root = join(folder, 'node_modules/weir')
const BIN = join(folder, 'node_modules/.bin/weir')
/** Not by its first line, which takes the Node of the PATH. */
const INSTALLED = [process.execPath, BIN]

/** The first Node of the PATH that is too old for Weir and not an installed package's. */
async function findOldNode(): Promise<string | undefined> {
  for (const place of (process.env['PATH'] ?? '').split(delimiter)) {
    const node = join(place, 'node')
    if (place.includes('node_modules') || !existsSync(node)) continue
    const { stdout } = await run(node, ['-p', 'process.versions.node'])
    if (Number.parseInt(stdout, 10) < 24) return node
  }
  return undefined
}
const oldNode = await findOldNode()
const oldNodeMissing = skip || (oldNode === undefined && 'there is no Node older than 24 here')

const installedWeir = (...parameters: string[]) => run(process.execPath, [BIN, ...parameters])

test('the package holds the program, the page and its papers, nothing else', { skip }, () => {
  assert.deepEqual(
    readdirSync(root).sort(),
    [
      ...['ARCHITECTURE.md', 'LICENSE', 'README.md', 'bin', 'deploy', 'dist', 'docs', 'lib'],
      'package.json',
    ].sort(),
  )
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  assert.deepEqual(
    files.filter((path) => /\.ts$|\.test\.|\/testing\/|fixture|oracle/.test(path)),
    [],
  )
  const isThere = (path: string): boolean => files.includes(path)
  assert.ok(['dist/web/index.html', 'lib/fleet/demo.pipeline.yaml'].every(isThere))
  const first = readFileSync(join(root, 'lib/cli/weir.js'), 'utf8').split('\n', 1)
  assert.deepEqual(first, readText('src/cli/weir.ts').split('\n', 1), 'the first line survives')
})

test('version, help and completion are those of the sources', { skip }, async (t) => {
  assert.equal((await installedWeir('--version')).stdout, `${version}\n`)
  const completion = ['bash', 'zsh', 'fish'].map((shell) => ['completion', shell])
  for (const parameters of [['--help'], ['start', '--help'], ...completion]) {
    const [installed, source] = [await installedWeir(...parameters), sourceWeir(parameters)]
    assert.equal(await source.end(), 0)
    assert.equal(installed.code, 0)
    assert.equal(installed.stdout, source.stdout)
  }
  const wrong = await installedWeir('start', '--bogus')
  assert.equal(wrong.code, 2)
  await t.test('bash reads its completion', { skip: bashMissing }, async () => {
    const lines = 'eval "$(cat)"; COMP_WORDS=(weir que); COMP_CWORD=1; _weir; echo $COMPREPLY'
    const { stdout } = await installedWeir('completion', 'bash')
    assert.equal((await run('bash', ['-c', lines], { input: stdout })).stdout, 'query\n')
  })
})

test('it starts, takes a reading, is asked for it, shows its page, stops', { skip }, async (t) => {
  const where = { folder: await makeFolder(t), command: INSTALLED }
  const weir = await WeirProcess.start(where)
  const token = await weir.register({ id: 'pump-1' })
  const address = ['--url', weir.url]
  const sent = await installedWeir('send', 'pump-1', 'a=21.5', '--token', token, ...address)
  assert.equal(sent.stdout, 'stored: 1 readings of pump-1\n', sent.stderr)
  const question = ['query', 'pump-1', 'a', '--format', 'csv', '--key', weir.adminKey]
  const answer = await installedWeir(...question, ...address)
  assert.match(answer.stdout, /,21\.5\n/, answer.stderr)
  const opened = await installedWeir('sign-in', '--key', weir.adminKey, ...address)
  const code = /^http:\/\/\S+\/\?code=(\S+)\n$/.exec(opened.stdout)?.[1]
  assert.equal((await weir.api('/v1/session', { body: { code }, token: 'none' })).status, 200)
  const page = await weir.api('/')
  const script = /src="\.(\/assets\/[^"]+\.js)"/.exec(page.text)?.[1]
  assert.equal((await weir.api(script ?? 'no script')).status, 200)
  assert.equal((await weir.stop()).code, 0, weir.running.output)
  assert.doesNotMatch(weir.running.stderr, /Warning/)
  const again = await WeirProcess.start(where)
  assert.deepEqual(
    (await again.points('pump-1', 'a')).map(([, value]) => value),
    [21.5],
  )
  assert.equal((await again.stop()).code, 0)
})

test('the demo’s fleet is a process of the package, too', { skip }, async (t) => {
  const data = await makeFolder(t)
  const ports = ['--http-port', '0', '--mqtt-port', '0']
  const parameters = [BIN, 'demo', '--data', data, '--devices', '5', '--interval', '0.1', ...ports]
  const demo = new Running(process.execPath, parameters)
  const known = await until(
    'the demo is up',
    () => {
      assert.ok(!demo.hasEnded, demo.output)
      return demo.stdout.includes('/?code=') && readPorts(data)
    },
    30_000,
  )
  const key = await readFile(join(data, 'credentials.json'), 'utf8')
  const { adminKey } = JSON.parse(key) as { adminKey: string }
  const headers = { authorization: `Bearer ${adminKey}` }
  await until('its fleet delivers', async () => {
    const text = await (await fetch(`http://127.0.0.1:${known.http}/metrics`, { headers })).text()
    return Number(/^weir_gateway_messages_total (\d+)$/m.exec(text)?.[1]) > 10
  })
  assert.equal(await demo.signal('SIGINT'), 0, demo.output)
  assert.equal(demo.stderr, '')
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The launcher as a leader of its own group, whom a terminal would send Ctrl-C to. */
async function startUnderOldNode(t: TestContext) {
  let server: number | undefined
  // It is nobody's child any more where the launcher was killed.
  t.after(() => void (server && isAlive(server) && process.kill(server, 'SIGKILL')))
  const place = await makeFolder(t)
  const launcher = await spawnWeir({
    ...{ folder: place, command: [oldNode!, BIN], options: { detached: true } },
  })
  const data = join(place, 'data')
  const { pid } = await until('it runs', () => readPorts(data), 30_000)
  server = pid
  return { launcher, data, pid }
}

test(
  'an older Node hands over to the one installed beside',
  { skip: oldNodeMissing },
  async (t) => {
    const told = await run(oldNode!, [BIN, '--version'])
    assert.equal(told.stdout, `${version}\n`, told.stderr)
    const failed = await run(oldNode!, [BIN, 'start', '--bogus'])
    assert.equal(failed.code, 2, 'the exit code comes through')
    await t.test('a signal to the launcher stops both', async (t) => {
      const { launcher, pid } = await startUnderOldNode(t)
      assert.notEqual(pid, launcher.child.pid)
      assert.equal(await launcher.signal('SIGTERM'), 0, launcher.output)
      assert.match(launcher.stderr, /server_stopped/)
    })
    await t.test('Ctrl-C, which comes to both and is passed on, is one signal', async (t) => {
      const { launcher } = await startUnderOldNode(t)
      process.kill(-launcher.child.pid!, 'SIGINT')
      assert.equal(await launcher.end(), 0, launcher.output)
      assert.match(launcher.stderr, /server_stopped/)
    })
    await t.test('without the launcher the server ends in order', async (t) => {
      const { launcher, data, pid } = await startUnderOldNode(t)
      await launcher.signal('SIGKILL')
      await until('the server ends', () => !isAlive(pid))
      assert.equal(await readPorts(data), undefined, 'in order')
    })
  },
)

test('without a Node that is new enough it says so', { skip: oldNodeMissing }, async (t) => {
  const alone = join(await makeFolder(t), 'node_modules/weir')
  await mkdir(alone, { recursive: true })
  cpSync(root, alone, { recursive: true })
  const { code, stderr } = await run(oldNode!, [join(alone, 'bin/weir.cjs'), '--version'])
  assert.equal(code, 3)
  assert.match(
    stderr,
    /^weir: Node 24 or later is missing\n.*This is Node \d+[\s\S]*Install Node 24/,
  )
})

/** The two flags stand where a process begins: each of these must have both. */
test('everything that starts Weir gives it the same flags', () => {
  const [, flags = ''] = /^#!.* node (.*)$/m.exec(readText('src/cli/weir.ts')) ?? []
  assert.match(flags, /^--\S+ --\S+$/)
  for (const path of ['package.json', ...filesUnder('deploy', '')]) {
    const starts = readText(path).match(/[^\n]*(weir\.ts|weir\.cjs)"?[^\n]*/g) ?? []
    for (const line of starts.filter((one) => /\bnode\b/.test(one))) {
      assert.ok(
        line.includes(flags) || line.includes(flags.replace(' ', '", "')),
        `${path}: ${line}`,
      )
    }
  }
  const launcher = /FLAGS = \[(.*)\]/.exec(readText('bin/weir.cjs'))?.[1] ?? ''
  assert.equal(launcher.replaceAll(/[',]/g, ''), flags)
})
