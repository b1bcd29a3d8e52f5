/** Waits for the end of a long-running command: Ctrl-C, SIGTERM, or the parent that started it. */

/**
 * Resolves with the first of SIGINT, SIGTERM and the loss of the parent's channel. A second signal
 * ends the process at once, for those who cannot wait.
 */
export function untilStopped(): Promise<string> {
  return new Promise((resolve) => {
    // A listener for signals does not keep a process alive, and neither do Weir's own timers.
    const keepAlive = setInterval(() => {}, 60_000)
    let isStopping = false
    const stop = (reason: string): void => {
      if (isStopping && reason.startsWith('SIG')) process.exit(130)
      isStopping = true
      clearInterval(keepAlive)
      resolve(reason)
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
    process.once('disconnect', () => stop('disconnect'))
  })
}
