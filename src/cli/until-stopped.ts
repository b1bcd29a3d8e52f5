/** Waits for the end of a long-running command: Ctrl-C, SIGTERM, or the parent that started it. */

/**
 * A launcher in between passes on the signal that the terminal has already sent to both; nobody
 * presses Ctrl-C twice as fast.
 */
const SAME_SIGNAL_MS = 100

/**
 * Resolves with the first of SIGINT, SIGTERM and the loss of the parent's channel. A second signal
 * ends the process at once, for those who cannot wait.
 */
export function untilStopped(): Promise<string> {
  return new Promise((resolve) => {
    // A listener for signals does not keep a process alive, and neither do Weir's own timers.
    const keepAlive = setInterval(() => {}, 60_000)
    let stoppedAtMs: number | undefined
    const stop = (reason: string): void => {
      const nowMs = performance.now()
      const isAgain = stoppedAtMs !== undefined && nowMs - stoppedAtMs > SAME_SIGNAL_MS
      if (isAgain && reason.startsWith('SIG')) process.exit(130)
      stoppedAtMs ??= nowMs
      clearInterval(keepAlive)
      // Who listens to the channel lives as long as the parent.
      process.removeListener('disconnect', lost)
      resolve(reason)
    }
    const lost = (): void => stop('disconnect')
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
    process.once('disconnect', lost)
  })
}
