/** The most that Weir's memory may be: the sum of docs/guarantees.md, promise 5. */
export function residentBytesMax(_: { connections: number; series: number }): number {
  return 2.5 * 2 ** 30
}
