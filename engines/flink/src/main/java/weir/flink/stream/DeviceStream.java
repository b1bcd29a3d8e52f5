package weir.flink.stream;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import weir.flink.entries.MalformedEntry;
import weir.flink.entries.Message;
import weir.flink.entries.WindowEntry;
import weir.flink.operators.Partial;
import weir.flink.operators.SeriesState;
import weir.flink.plan.Plan;
import weir.flink.rules.DeviceRules;
import weir.flink.rules.Facts;
import weir.flink.rules.LiveRule;
import weir.flink.state.StateWriter;

/**
 * All that is stateful of a device, in the order of its messages:
 *
 * <pre>
 *   what its partition told since → windows close, what waited falls due, rules end
 *   message → a repeat? → each reading: fate → window │ late │ to be computed from storage
 *                                         └→ rules, detectors
 * </pre>
 *
 * <p>One object serves any number of devices: {@link #restore} one, then process. The twin of {@code
 * src/stream/processor.ts}, of one device.
 */
public final class DeviceStream {
  private static final long NONE = Long.MIN_VALUE;
  private static final long NEVER = Long.MAX_VALUE;
  private static final byte VERSION = 1;

  /** Where it goes; keys are those of Kafka. */
  public interface Output {
    /** @param source the offset in the partition of telemetry of the message that it is of */
    void reading(int partition, byte[] key, byte[] value, long source);

    void window(int partition, byte[] key, byte[] value);

    void event(byte[] key, byte[] value);
  }

  private final Plan plan;
  private final Instance instance;
  private final DeviceRules rules;
  private final Message message = new Message();
  private final Stamp stamp = new Stamp();
  private final StateWriter writer = new StateWriter();
  private final Identities identities = new Identities();
  private final DeviceSeries all;
  /** Partials of windows that closed at once, by their end and size, for rules. */
  private final TreeMap<WindowKey, List<DeviceRules.Closed>> closed = new TreeMap<>();

  private final EventWriter events = new EventWriter();
  private byte[] key;
  private int number;
  private long sequence;
  private long clockUs;
  private long timerSetMs;
  /** Of the message. */
  private long ingestUs;
  private Output out;
  /** Whose partials are emitted. */
  private Series emitting;

  private record WindowKey(long endUs, long windowUs) implements Comparable<WindowKey> {
    @Override
    public int compareTo(WindowKey other) {
      int byEnd = Long.compare(endUs, other.endUs);
      return byEnd != 0 ? byEnd : Long.compare(windowUs, other.windowUs);
    }
  }

  public DeviceStream(Instance instance) {
    this.instance = instance;
    plan = instance.plan;
    all = new DeviceSeries(plan);
    rules = new DeviceRules(all, event -> out.event(key, event));
  }

  /** @param key of the device; @param state empty: it is new */
  public void restore(byte[] key, byte[] state) {
    this.key = key;
    all.clear();
    identities.clear();
    rules.clear();
    sequence = NONE;
    clockUs = NONE;
    timerSetMs = NEVER;
    if (state.length == 0) return;
    ByteBuffer from = ByteBuffer.wrap(state);
    if (from.get() != VERSION) throw new IllegalStateException("state of another version");
    number = from.getInt();
    all.name(key, from.getInt());
    sequence = from.getLong();
    clockUs = from.getLong();
    timerSetMs = from.getLong();
    identities.read(from);
    all.read(from);
    rules.read(from);
  }

  public byte[] state() {
    writer.reset();
    writer.put(VERSION);
    writer.put(number);
    writer.put(all.tenantLength());
    writer.put(sequence);
    writer.put(clockUs);
    writer.put(timerSetMs);
    identities.write(writer);
    all.write(writer);
    rules.write(writer);
    return writer.take();
  }

  /** What a partition stamped, in its order. */
  public void process(byte[] data, Output out) {
    this.out = out;
    stamp.read(data);
    Instance.Partition partition = instance.partition(stamp.partition);
    partition.stamped(stamp);
    if (sequence != NONE && number != stamp.partition) {
      // Its topic was given more partitions.
      sequence = partition.sequence;
      rules.renumber(sequence);
    }
    number = stamp.partition;
    if (stamp.kind == Stamp.FACTS) {
      String json = new String(data, stamp.at, data.length - stamp.at, StandardCharsets.UTF_8);
      nameBy(json);
      catchUp(partition);
      rules.learn(json, clockUs);
      return;
    }
    try {
      message.read(data, stamp.at, data.length);
      ingestUs = Stamp.ingestUs(message.ingestUs(), stamp.clockUs);
    } catch (MalformedEntry error) {
      throw new IllegalStateException(error);
    }
    if (!all.isNamed()) all.name(key, message.tenant().length);
    catchUp(partition);
    boolean[] isRepeat = take(partition);
    int repeats = 0;
    for (boolean one : isRepeat) if (one) repeats++;
    if (repeats == isRepeat.length) return;
    byte[] value =
        repeats == 0
            ? Arrays.copyOfRange(data, stamp.at, data.length)
            : message.without(isRepeat);
    out.reading(number, key, value, stamp.source);
  }

  /** The time is {@code nowMs}, as Flink has it: what the partition told is made up for. */
  public void onTimer(long nowMs, Output out) {
    this.out = out;
    Instance.Partition partition = instance.partition(number);
    // After a start, it has not told anything yet.
    if (partition == null || !all.isNamed()) return;
    catchUp(partition);
    expire();
  }

  private void nameBy(String json) {
    if (all.isNamed()) return;
    all.name(key, Facts.parse(json).tenant().getBytes(StandardCharsets.UTF_8).length);
  }

  /** What happened since the device was last looked at, in its order. */
  private void catchUp(Instance.Partition partition) {
    if (sequence == NONE) sequence = partition.sequence;
    List<Told> missed = sequence == partition.sequence ? List.of() : partition.since(sequence);
    if (missed != null && !missed.isEmpty()) follow(missed, partition);
    else rules.bind(partition.book, List.of());
    // So long ago that nobody knows any more what happened since.
    if (missed == null) closeThrough(partition.watermarkUs, partition.clockUs);
    if (sequence != partition.sequence) rules.endOthers(Math.max(clockUs, partition.clockUs));
    sequence = partition.sequence;
    fallDue(partition.clockUs);
  }

  private void follow(List<Told> missed, Instance.Partition partition) {
    List<LiveRule> gone = new ArrayList<>();
    for (Told one : missed) gone.addAll(one.removed());
    rules.bind(partition.book, gone);
    for (Told one : missed) {
      rules.setVisible(one.sequence() - 1);
      follow(one);
    }
    rules.setVisible(Long.MAX_VALUE);
  }

  private void follow(Told one) {
    fallDue(one.clockUs());
    switch (one.kind()) {
      // The watermark that closes all that end by then, and nothing else.
      case Told.CLOSE -> closeThrough(one.firstUs() - 1000, one.secondUs());
      case Told.RULES -> rules.removed(one.removed(), one.clockUs());
      case Told.SHIFT -> {
        rules.shift(one.firstUs(), one.secondUs());
        for (Series series : all.all())
          series.lastIngestUs = Math.min(series.lastIngestUs + one.firstUs(), one.secondUs());
        // What is due by then is not yet processed.
        clockUs = one.secondUs() - 1;
      }
      default -> throw new IllegalStateException("kind " + one.kind());
    }
  }

  private void fallDue(long untilUs) {
    if (untilUs <= clockUs) return;
    rules.fallDue(untilUs);
    clockUs = untilUs;
  }

  private void closeThrough(long watermarkUs, long ingestUs) {
    for (Series series : all.all()) {
      if (!series.isWindowed()) continue;
      emitting = series;
      series.state.advance(watermarkUs, this::emit);
    }
    if (closed.isEmpty()) return;
    long stalenessUs = plan.time().windowStalenessUs();
    closed.forEach(
        (window, partials) ->
            rules.windowClosed(
                partials, window.windowUs, window.endUs - window.windowUs, ingestUs, stalenessUs));
    closed.clear();
  }

  private void emit(Partial partial) {
    out.window(number, key, WindowEntry.encode(all.named(emitting), partial));
    if (partial.isLate() || !instance.partition(number).book.hasWindowRules()) return;
    long windowUs = partial.windowMs() * 1000;
    closed
        .computeIfAbsent(
            new WindowKey(partial.startMs() * 1000 + windowUs, windowUs), at -> new ArrayList<>())
        .add(new DeviceRules.Closed(emitting.metricKey, emitting.typeText, partial));
  }

  /** Which of the message's readings are repeats. */
  private boolean[] take(Instance.Partition partition) {
    boolean[] isRepeat = new boolean[message.count()];
    boolean isHistorical = message.isHistorical();
    // Rules know a device by its series.
    Series[] series = new Series[isRepeat.length];
    int known = all.all().size();
    for (int reading = 0; reading < series.length; reading++)
      series[reading] = all.of(message, reading);
    if (all.all().size() > known) rules.grew();
    if (!isHistorical) rules.hear(ingestUs, sequence);
    if (message.identity() != 0 && identities.isRepeat(message.identity())) {
      Arrays.fill(isRepeat, true);
      return isRepeat;
    }
    for (int reading = 0; reading < isRepeat.length; reading++)
      isRepeat[reading] =
          !observe(series[reading], message.value(reading), isHistorical, partition);
    if (!isHistorical) rules.endMessage(message.eventUs(), ingestUs);
    return isRepeat;
  }

  /** False for a repeat. */
  private boolean observe(
      Series series, double value, boolean isHistorical, Instance.Partition partition) {
    long eventUs = message.eventUs();
    series.lastIngestUs = ingestUs;
    SeriesState.Outcome outcome = series.state.deduplicate(eventUs);
    if (outcome == SeriesState.Outcome.DUPLICATE) return false;
    if (outcome == SeriesState.Outcome.UNVERIFIED || isHistorical) {
      if (series.isWindowed()) dirty(series, eventUs);
      return true;
    }
    if (series.isWindowed()) {
      emitting = series;
      // One that is new with this message has not been told.
      series.state.advance(partition.watermarkUs, this::emit);
      outcome = series.state.count(eventUs, value, this::emit);
      if (outcome == SeriesState.Outcome.TOO_LATE) dirty(series, eventUs);
    }
    if (eventUs >= ingestUs - plan.time().alertStalenessUs())
      alert(series, value, eventUs);
    return true;
  }

  private void alert(Series series, double value, long eventUs) {
    boolean isWatched =
        rules.observe(
            series.metricKey, series.typeText, value, series.last, eventUs, ingestUs, sequence);
    series.last = isWatched ? value : Double.NaN;
    for (Series.Detected one : series.detected) {
      double score = one.score().observe(value);
      if (!Double.isNaN(score))
        out.event(key, events.anomaly(one.detector().id(), all.names(), series, eventUs, value, score));
    }
  }

  /** Windows of the largest size that hold it must be computed from stored readings. */
  private void dirty(Series series, long eventUs) {
    long sizeUs = plan.windowsUs()[plan.windowsUs().length - 1];
    long fromMs = Math.floorDiv(eventUs, sizeUs) * sizeUs / 1000;
    out.event(key, events.dirty(all.names(), series, fromMs, fromMs + sizeUs / 1000));
  }

  /** Forgets series that were silent for the time to live. */
  private void expire() {
    for (Series series : all.all()) {
      boolean isSilent = series.lastIngestUs < clockUs - plan.stateTtlUs();
      if (!isSilent || !series.state.canForget()) continue;
      series.forget();
      rules.forget(series.metricKey);
    }
  }

  /** When {@link #onTimer} should be called, Flink's time; MAX_VALUE: never. */
  public long timerMs(long nowMs) {
    if (!all.isNamed()) return NEVER;
    Instance.Partition partition = instance.partition(number);
    if (partition == null) return Timers.settledAfterStart(nowMs);
    return Timers.next(plan, all.all(), rules, nowMs, partition.clockUs, Arrays.hashCode(key));
  }

  /** When it was last asked for. */
  public long timerSetMs() {
    return timerSetMs;
  }

  public void timerSet(long atMs) {
    timerSetMs = atMs;
  }
}
