package weir.flink.rules;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import weir.flink.operators.Partial;
import weir.flink.operators.Window;
import weir.flink.plan.Variable;
import weir.flink.state.StateWriter;

/**
 * What is remembered of a device's metric for rules that are more than one comparison: its last
 * reading, the two newest by event time, and what it said in the windows that are under way. A
 * sequence says when a value came: a rule does not know what was heard before it. The twin of {@code
 * src/stream/rule-cells.ts}.
 */
final class MetricMemory {
  private static final long NONE = Long.MIN_VALUE;

  private double latest;
  private long latestSequence = NONE;
  private double newest;
  private long newestUs = NONE;
  private long newestSequence = NONE;
  private double before;
  private long beforeUs;
  private long beforeSequence = NONE;
  private final List<Running> running = new ArrayList<>(0);

  /** The newest window of a size in which the metric spoke. */
  private static final class Running {
    final long windowUs;
    Window window;

    Running(long windowUs, Window window) {
      this.windowUs = windowUs;
      this.window = window;
    }
  }

  void observe(double value, long eventUs, long sequence) {
    latest = value;
    latestSequence = sequence;
    // What is not newer changes nothing of how the values went on.
    if (newestUs != NONE && eventUs <= newestUs) return;
    before = newest;
    beforeUs = newestUs;
    beforeSequence = newestSequence;
    newest = value;
    newestUs = eventUs;
    newestSequence = sequence;
  }

  /** A reading of the window that is under way; what belongs to one before it is too late. */
  void aggregate(long windowUs, double value, long eventUs) {
    long startUs = Math.floorDiv(eventUs, windowUs) * windowUs;
    Running one = find(windowUs);
    if (one == null) running.add(one = new Running(windowUs, new Window(startUs)));
    if (startUs < one.window.startUs) return;
    if (startUs > one.window.startUs) one.window = new Window(startUs);
    one.window.add(eventUs, value);
  }

  private Running find(long windowUs) {
    for (Running one : running) if (one.windowUs == windowUs) return one;
    return null;
  }

  /** NaN where it is not known to a rule that came at {@code since}. */
  double read(Variable.Of of, long since) {
    if (of == Variable.Of.LATEST) return latestSequence >= since ? latest : Double.NaN;
    if (beforeSequence == NONE || beforeSequence < since) return Double.NaN;
    if (of == Variable.Of.PREVIOUS) return before;
    double delta = newest - before;
    return of == Variable.Of.DELTA ? delta : delta / ((newestUs - beforeUs) / 1e6);
  }

  /** NaN where that is not the newest window in which it spoke. */
  double readRunning(Variable.Of of, long windowUs, long startUs) {
    Running one = find(windowUs);
    if (one == null || one.window.startUs != startUs) return Double.NaN;
    return aggregateOf(of, one.window.partial(windowUs, false));
  }

  /** NaN where the window has too few readings for it. */
  static double aggregateOf(Variable.Of of, Partial partial) {
    return switch (of) {
      case AVG -> partial.mean();
      case MIN -> partial.min();
      case MAX -> partial.max();
      case SUM -> partial.sum();
      case COUNT -> partial.count();
      case FIRST -> partial.first();
      case LAST -> partial.last();
      case STDDEV ->
          partial.count() < 2
              ? Double.NaN
              : Math.sqrt(partial.squares() / (partial.count() - 1));
      case RATE -> {
        long passedUs = partial.lastTimeUs() - partial.firstTimeUs();
        yield passedUs > 0 ? (partial.last() - partial.first()) / (passedUs / 1e6) : Double.NaN;
      }
      default -> Double.NaN;
    };
  }

  /** What is known was heard at this sequence: the device is in another partition now. */
  void renumber(long sequence) {
    if (latestSequence != NONE) latestSequence = sequence;
    if (newestSequence != NONE) newestSequence = sequence;
    if (beforeSequence != NONE) beforeSequence = sequence;
  }

  void write(StateWriter to) {
    to.put(latest);
    to.put(latestSequence);
    to.put(newest);
    to.put(newestUs);
    to.put(newestSequence);
    to.put(before);
    to.put(beforeUs);
    to.put(beforeSequence);
    to.put((byte) running.size());
    for (Running one : running) {
      to.put(one.windowUs);
      one.window.write(to.room(Window.BYTES));
    }
  }

  static MetricMemory read(ByteBuffer from) {
    MetricMemory one = new MetricMemory();
    one.latest = from.getDouble();
    one.latestSequence = from.getLong();
    one.newest = from.getDouble();
    one.newestUs = from.getLong();
    one.newestSequence = from.getLong();
    one.before = from.getDouble();
    one.beforeUs = from.getLong();
    one.beforeSequence = from.getLong();
    for (int left = from.get(); left > 0; left--)
      one.running.add(new Running(from.getLong(), Window.read(from)));
    return one;
  }
}
