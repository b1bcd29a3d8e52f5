package weir.flink.rules;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;
import weir.flink.state.StateWriter;

/**
 * What rules say of a device. An episode exists only for a rule that is not idle, or whose breaches
 * are counted. The twin of {@code src/stream/episodes.ts}.
 *
 * <pre>
 *   idle ──breach──▶ pending ──for──▶ firing ──ended, keep──▶ resolved, and idle
 *                       └──no breach──▶ idle
 * </pre>
 */
final class Episodes {
  /** An episode fires, or is resolved, at a time. */
  interface Teller {
    void tell(Episode episode, boolean isResolved, long atUs);
  }

  /**
   * What one evaluation found.
   *
   * @param isEnded what fires ends; null: only the window's end can tell
   * @param values parallel to the rule's variables
   * @param before the value before; NaN where none is known
   * @param windowUs of the window that is decided; NEVER on readings
   */
  record Finding(
      boolean holds,
      Boolean isEnded,
      double[] values,
      long eventUs,
      long ingestUs,
      double before,
      long windowUs) {}

  private final Teller teller;
  private final List<Episode> all = new ArrayList<>(2);

  Episodes(Teller teller) {
    this.teller = teller;
  }

  boolean isEmpty() {
    return all.isEmpty();
  }

  Episode find(LiveRule live) {
    for (Episode one : all) if (one.live == live) return one;
    return null;
  }

  /** @param leaving rules that are gone since the device was last looked at */
  void bind(RuleBook book, List<LiveRule> leaving) {
    for (Episode one : all) {
      one.live = book.find(one.name);
      for (LiveRule live : leaving)
        if (live.rule.id().equals(one.name.id()) && live.rule.version() == one.name.version())
          one.live = live;
    }
  }

  void decide(LiveRule live, Finding finding) {
    Episode episode = find(live);
    if (episode == null) {
      if (!finding.holds || !live.opening.isOpen(finding.ingestUs)) return;
      all.add(episode = new Episode(live));
    }
    // What a window before said cannot end what the one under way has begun.
    if (finding.windowUs < episode.windowUs) return;
    episode.values = finding.values;
    if (finding.holds) episode.windowUs = finding.windowUs;
    if (episode.phase == Episode.FIRING) decideEnd(episode, finding);
    else decideBegin(episode, finding);
  }

  private void decideBegin(Episode episode, Finding finding) {
    LiveRule live = episode.live;
    long ingestUs = finding.ingestUs;
    boolean isActive =
        live.opening.isOpen(ingestUs) && finding.holds && episode.isRepeated(ingestUs);
    if (!isActive) {
      episode.phase = Episode.IDLE;
      if (episode.countedUntilUs() <= ingestUs) all.remove(episode);
    } else if (episode.phase == Episode.IDLE) {
      episode.sinceUs = ingestUs;
      episode.breachUs = finding.eventUs;
      episode.before = finding.before;
      episode.phase = Episode.PENDING;
      episode.closesUs = live.opening.changesAtUs(ingestUs);
      if (live.rule.forUs() == 0) fire(episode, ingestUs);
    } else if (ingestUs >= episode.sinceUs + live.rule.forUs()) fire(episode, ingestUs);
  }

  private void decideEnd(Episode episode, Finding finding) {
    LiveRule live = episode.live;
    long ingestUs = finding.ingestUs;
    if (!live.opening.isOpen(ingestUs)) {
      end(episode, ingestUs);
      return;
    }
    if (finding.isEnded == null || !finding.isEnded) {
      if (finding.holds || finding.isEnded != null) episode.endedUs = Episode.NEVER;
      return;
    }
    if (episode.endedUs == Episode.NEVER) episode.endedUs = ingestUs;
    if (ingestUs >= episode.endedUs + live.rule.keepUs()) end(episode, ingestUs);
  }

  void fireSilence(LiveRule live, long atUs) {
    Episode episode = new Episode(live);
    all.add(episode);
    episode.sinceUs = atUs;
    episode.breachUs = atUs;
    episode.closesUs = live.opening.changesAtUs(atUs);
    fire(episode, atUs);
  }

  private void fire(Episode episode, long atUs) {
    episode.phase = Episode.FIRING;
    episode.triggeredUs = atUs;
    episode.endedUs = Episode.NEVER;
    episode.words = EventWords.of(episode.live.rule);
    teller.tell(episode, false, atUs);
  }

  /** The one that waits for the clock and comes first; null: none. */
  Episode nextDue() {
    Episode next = null;
    for (Episode one : all) {
      if (one.live == null || one.dueUs() == Long.MAX_VALUE) continue;
      if (next == null
          || one.dueUs() < next.dueUs()
          || (one.dueUs() == next.dueUs() && one.live.order < next.live.order)) next = one;
    }
    return next;
  }

  /** What the episode waited for has come. True when its schedule closed it. */
  boolean fallDue(Episode episode, long atUs) {
    LiveRule live = episode.live;
    if (episode.phase == Episode.IDLE) {
      all.remove(episode);
      return false;
    }
    if (!live.opening.isOpen(atUs)) {
      end(episode, atUs);
      return true;
    }
    if (episode.closesUs <= atUs) episode.closesUs = live.opening.changesAtUs(atUs);
    if (episode.dueUs() > atUs) return false;
    if (episode.phase == Episode.PENDING) fire(episode, atUs);
    else end(episode, atUs);
    return false;
  }

  /** It ends, for another reason than its condition, or it is as if it had never begun. */
  void end(Episode episode, long atUs) {
    if (episode.phase == Episode.FIRING) teller.tell(episode, true, atUs);
    all.remove(episode);
  }

  void endAll(Predicate<Episode> which, long atUs) {
    for (Episode one : matching(which)) end(one, atUs);
  }

  /** What is pending is as if it had never begun. */
  void cancelAll(Predicate<Episode> which) {
    for (Episode one : matching(which)) if (one.phase != Episode.FIRING) all.remove(one);
  }

  private List<Episode> matching(Predicate<Episode> which) {
    List<Episode> some = new ArrayList<>();
    for (Episode one : all) if (which.test(one)) some.add(one);
    some.sort(Comparator.comparingInt(one -> one.live == null ? Integer.MAX_VALUE : one.live.order));
    return some;
  }

  void shift(long stepUs, long nowUs) {
    for (Episode one : all) one.shift(stepUs, nowUs);
  }

  void clear() {
    all.clear();
  }

  void write(StateWriter to) {
    to.put(all.size());
    for (Episode one : all) one.write(to);
  }

  void read(ByteBuffer from) {
    all.clear();
    for (int left = from.getInt(); left > 0; left--) all.add(Episode.read(from));
  }
}
