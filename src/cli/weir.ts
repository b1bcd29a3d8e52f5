#!/usr/bin/env -S node --single-threaded-gc --disable-warning=ExperimentalWarning
/**
 * Entry of the command line. What must happen before anything else is loaded stands here; the
 * commands are in `program.ts`.
 *
 * --single-threaded-gc: each thread collects its own garbage. V8's helper threads are shared by all
 * threads and know no niceness, so a collection of the gateway's few objects waited for helpers
 * that were marking the storage's heap, or that had lost their core (decision 0005). It can only be
 * given on the command line: package.json, the services and the benchmarks do.
 */
import { enableCompileCache, getCompileCacheDir } from 'node:module'
import { fileURLToPath } from 'node:url'

// From the second start on no thread strips types or compiles again: seen here, 0.6 s to ready
// instead of 1.2 to 1.5, and 214 MB instead of 250 when idle. The package has no types to strip: it
// gains 0.2 s, for 7 of its 194 MB. Workers and child processes find the folder in the environment.
enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/weir', import.meta.url)))
const cacheFolder = getCompileCacheDir()
if (cacheFolder !== undefined) process.env['NODE_COMPILE_CACHE'] ??= cacheFolder

// Whoever reads our output may have seen enough, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

// Before anything asynchronous: libuv sizes its pool at first use. Log flushes share it with
// DuckDB's calls (query.concurrency and one writer) and must never queue behind them.
process.env['UV_THREADPOOL_SIZE'] ??= '16'

await import('./program.ts')
