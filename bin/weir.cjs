#!/usr/bin/env node
/**
 * The installed command. Weir wants Node 24 and two flags, and a machine's own Node may be older and
 * has no flags; so this file is plain JavaScript for any Node, and hands over:
 *
 *   this Node is new enough and has the flags → in this process (a service may start it so)
 *   this Node, or the one installed beside    → it replaces this process, which keeps its number;
 *                                               a Node that cannot do that has it as a child
 *   neither is new enough                     → says what is missing
 */
'use strict'
const { spawn } = require('child_process')
const { existsSync } = require('fs')
const { join } = require('path')
const { pathToFileURL } = require('url')

const NODE_MAJOR_MIN = 24
/** The same as in src/cli/weir.ts, which says why. */
const FLAGS = ['--single-threaded-gc', '--disable-warning=ExperimentalWarning']
/** As in the catalogue of errors: what cannot start here. */
const EXIT_CANNOT_START = 3
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']

const isNewEnough = parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN

/** A checkout has the sources, and what was emitted there may be old; a package has only that. */
function entry() {
  const source = join(__dirname, '../src/cli/weir.ts')
  return existsSync(source) ? source : join(__dirname, '../lib/cli/weir.js')
}

/** The Node of the optional package for this kind of machine, if it was installed. */
function installedNode() {
  const isWindows = process.platform === 'win32'
  const platform = isWindows ? 'win' : process.platform
  const file = isWindows ? 'bin/node.exe' : 'bin/node'
  try {
    return require.resolve(`node-${platform}-${process.arch}/${file}`)
  } catch {
    return undefined
  }
}

/** Replaces this process where Node can (POSIX, Node 22.15 or 23.11 on). */
function handOver(node, parameters) {
  if (process.platform === 'win32' || typeof process.execve !== 'function') {
    return runChild(node, parameters)
  }
  process.execve(node, [node].concat(parameters), process.env)
}

/** Signals go to the child, its end is ours; it sees by the channel when this process is killed. */
function runChild(node, parameters) {
  const child = spawn(node, parameters, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`${node} cannot be started: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    for (const one of FORWARDED) process.removeAllListeners(one)
    process.kill(process.pid, signal)
  })
}

function fail(detail) {
  console.error(`weir: Node ${NODE_MAJOR_MIN} or later is missing\n  ${detail}`)
  console.error('  Install Node 24, or install Weir without --omit=optional.')
  process.exit(EXIT_CANNOT_START)
}

const node = isNewEnough ? process.execPath : installedNode()
if (node === undefined) {
  const machine = `${process.platform} ${process.arch}`
  fail(`This is Node ${process.versions.node}, and there is no Node of ours for ${machine}.`)
} else if (isNewEnough && FLAGS.every((flag) => process.execArgv.includes(flag))) {
  void import(pathToFileURL(entry()).href)
} else {
  const own = isNewEnough ? process.execArgv.filter((flag) => !FLAGS.includes(flag)) : []
  handOver(node, own.concat(FLAGS, entry(), process.argv.slice(2)))
}
