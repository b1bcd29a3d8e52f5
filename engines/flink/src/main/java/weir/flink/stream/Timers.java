package weir.flink.stream;

import java.util.List;
import weir.flink.plan.Plan;
import weir.flink.rules.DeviceRules;

/**
 * When a device is to be looked at without a message. Flink's time is when entries were read, the
 * least of all partitions; what happens is decided by the partition's clock, which is about the same
 * where nothing waits to be read. So a timer decides nothing: who is called too early asks again.
 */
final class Timers {
  private static final long NEVER = Long.MAX_VALUE;
  /** Windows of all devices end at once: their timers do not. */
  private static final int SPREAD_MS = 1000;

  private static final long AGAIN_MS = 250;
  /** A window waits for a watermark that does not come. */
  private static final long LATER_MS = 1000;

  private static final long MUCH_LATER_MS = 5000;
  /** Of a device of which something is told: its rule may go. */
  private static final long BUSY_MS = 5000;
  /** All have looked that were to, and those that were too early once more. */
  private static final long SETTLED_MS = SPREAD_MS + MUCH_LATER_MS + 1000;
  /** A clock that is so far ahead of Flink's time is not the one that timers were set by. */
  private static final long AHEAD_MS = 2000;

  /** And one that is so far behind it reads a backlog, … */
  private static final long BEHIND_MS = 5000;
  /** … where what waits is looked at so often. */
  private static final long BEHIND_LOOK_MS = 10_000;

  private Timers() {}

  /**
   * The next for a device at Flink's time {@code nowMs}, its partition's clock being {@code clockUs};
   * MAX_VALUE: none.
   */
  static long next(
      Plan plan, List<Series> all, DeviceRules rules, long nowMs, long clockUs, int spread) {
    long atMs = NEVER;
    long dueUs = rules.nextDueUs();
    if (dueUs != NEVER) atMs = nowMs + waitMs(dueUs, nowMs, clockUs);
    if (rules.isBusy()) atMs = Math.min(atMs, nowMs + BUSY_MS);
    long closesUs = NEVER;
    long silentUs = NEVER;
    for (Series one : all) {
      if (one.isWindowed()) closesUs = Math.min(closesUs, one.state.closesAtUs());
      if (one.state.canForget()) silentUs = Math.min(silentUs, one.lastIngestUs);
    }
    if (closesUs != NEVER)
      atMs = Math.min(atMs, nextLook(closesUs + plan.time().disorderUs(), nowMs, clockUs, spread));
    if (atMs != NEVER || silentUs == NEVER) return atMs;
    long forgottenMs = ceilMs(silentUs + plan.stateTtlUs() - clockUs);
    return nowMs + Math.max(forgottenMs, 0) + SPREAD_MS;
  }

  /** For the clock to come there: sooner than time goes where a backlog is read. */
  private static long waitMs(long dueUs, long nowMs, long clockUs) {
    long waitMs = Math.max(ceilMs(dueUs - clockUs), AGAIN_MS);
    boolean isBehind = nowMs - clockUs / 1000 > BEHIND_MS;
    return isBehind ? Math.min(waitMs, BEHIND_LOOK_MS) : waitMs;
  }

  /** For what a watermark is expected to close at {@code aboutUs} of the partition's clock. */
  private static long nextLook(long aboutUs, long nowMs, long clockUs, int spread) {
    long waitMs = Math.min(ceilMs(aboutUs) - nowMs, Math.max(0, ceilMs(aboutUs - clockUs)));
    waitMs += Math.floorMod(spread, SPREAD_MS);
    if (waitMs > 0) return nowMs + waitMs;
    return nowMs + (-waitMs < MUCH_LATER_MS ? LATER_MS : MUCH_LATER_MS);
  }

  /**
   * By when all devices have looked for what was closed: windows that end at or before {@code upToUs},
   * at {@code nowMs}.
   */
  static long settled(Plan plan, long upToUs, long nowMs, long clockUs) {
    long disorderUs = plan.time().disorderUs();
    if (clockUs / 1000 > nowMs + AHEAD_MS)
      return nowMs + ceilMs(plan.windowsUs()[0] + disorderUs) + SETTLED_MS;
    return Math.max(nowMs, ceilMs(upToUs + disorderUs)) + SETTLED_MS;
  }

  /** Right after a start nobody has looked yet. */
  static long settledAfterStart(long nowMs) {
    return nowMs + SETTLED_MS;
  }

  private static long ceilMs(long us) {
    return -Math.floorDiv(-us, 1000);
  }
}
