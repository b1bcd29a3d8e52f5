/**
 * One device is always in one partition, so one that speaks too much makes a partition hot: it is
 * as slow as that partition's leader, its stream and its rows, while others have nothing to do.
 */

/** More than so many times its share is told. */
const SHARES_MAX = 4
/** Below so many messages in a look nobody minds. */
const MESSAGES_MIN = 10_000

/** The partition that took more than four times its share between two looks, if one did. */
export function hottestPartition(
  before: Float64Array,
  now: Float64Array,
): { partition: number; messages: number; share: number } | undefined {
  // There are more of them now: this look is the first.
  if (before.length !== now.length) return undefined
  const grown = now.map((count, partition) => count - before[partition]!)
  const all = grown.reduce((sum, count) => sum + count, 0)
  const messages = Math.max(...grown)
  const share = messages / all
  if (all < MESSAGES_MIN || share * now.length <= SHARES_MAX) return undefined
  return { partition: grown.indexOf(messages), messages, share: Math.round(share * 1000) / 1000 }
}
