package weir.flink.rules;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import weir.flink.operators.Partial;
import weir.flink.plan.Rule;
import weir.flink.plan.Variable;
import weir.flink.state.StateWriter;

/**
 * The rules of one device, in the order of its messages, on the ingest time that gateways stamped:
 * what {@code src/stream/rule-engine.ts} does for all devices at once. What is remembered is little,
 * and bytes between two calls.
 *
 * <pre>
 *   a message     hear, observe for each reading that counts, endMessage
 *   a window      windowClosed, with its on-time partials
 *   the clock     fallDue: what waited long enough
 *   a change      removed, learn, shift
 * </pre>
 */
public final class DeviceRules {
  private static final long NONE = Long.MIN_VALUE;
  /** For a schedule to open, eight days each. */
  private static final int LOOKS_MAX = 100;

  /**
   * An on-time partial of a window.
   *
   * @param metric kind and name
   * @param type of the device, when the series was new
   */
  public record Closed(String metric, String type, Partial partial) {}

  private final Concern.Device device;
  private final Consumer<byte[]> emit;
  private final Episodes episodes;
  private final Concern concern;
  private final Map<String, MetricMemory> memories = new HashMap<>();
  /** When the device was last heard, and the sequence then. */
  private long heardUs;

  private long heardSequence;
  /** Silence of before is not looked at again. */
  private long silentFromUs;

  private final List<LiveRule> touched = new ArrayList<>();

  /** @param emit takes events for their topic */
  public DeviceRules(Concern.Device device, Consumer<byte[]> emit) {
    this.device = device;
    this.emit = emit;
    episodes = new Episodes(this::tell);
    concern = new Concern(device);
    clear();
  }

  /**
   * The rules that are in force by now, and those that are gone since the device was last looked at.
   */
  public void bind(RuleBook book, List<LiveRule> gone) {
    concern.bind(book, gone);
    episodes.bind(book, gone);
  }

  /** The device has another series. */
  public void grew() {
    concern.grew();
  }

  /** What follows happened when rules up to this sequence were there; MAX_VALUE: now. */
  public void setVisible(long throughSequence) {
    concern.setVisible(throughSequence);
  }

  /** A message arrived. */
  public void hear(long ingestUs, long sequence) {
    boolean isWatched = false;
    for (LiveRule live : concern.silences()) {
      isWatched = true;
      Episode episode = episodes.find(live);
      if (episode != null) episodes.end(episode, ingestUs);
    }
    if (!isWatched) return;
    heardUs = Math.max(heardUs, ingestUs);
    heardSequence = sequence;
  }

  /**
   * A reading that may alert. One comparison is decided at once, another rule behind the message.
   * False when no rule looks at the series.
   *
   * @param before the series' last value; NaN where none is known
   */
  public boolean observe(
      String metric, String type, double value, double before, long eventUs, long ingestUs, long sequence) {
    List<LiveRule> rules = concern.rulesOn(metric, type);
    if (rules.isEmpty()) return false;
    MetricMemory memory = null;
    if (concern.book().isRemembered(metric)) {
      memory = memories.computeIfAbsent(metric, name -> new MetricMemory());
      memory.observe(value, eventUs, sequence);
    }
    for (int i = 0; i < rules.size(); i++) {
      LiveRule live = rules.get(i);
      Rule rule = live.rule;
      if (live.isDirect) decideDirect(live, value, before, eventUs, ingestUs);
      else if (rule.on() == Rule.On.READINGS || rule.isEarly()) {
        if (rule.isEarly() && isFirstOfItsWindow(rules, i))
          memory.aggregate(rule.windowUs(), value, eventUs);
        if (!touched.contains(live)) touched.add(live);
      }
    }
    return true;
  }

  private static boolean isFirstOfItsWindow(List<LiveRule> rules, int at) {
    for (int i = 0; i < at; i++) {
      Rule rule = rules.get(i).rule;
      if (rule.isEarly() && rule.windowUs() == rules.get(at).rule.windowUs()) return false;
    }
    return true;
  }

  private void decideDirect(
      LiveRule live, double value, double before, long eventUs, long ingestUs) {
    Rule rule = live.rule;
    boolean holds = rule.condition().threshold().holds(value);
    if (!holds && episodes.isEmpty()) return;
    boolean isEnded = rule.clear() == null ? !holds : rule.clear().threshold().holds(value);
    episodes.decide(
        live,
        new Episodes.Finding(
            holds, isEnded, new double[] {value}, eventUs, ingestUs, before, NONE));
  }

  /** Decides the rules that more than one comparison makes. */
  public void endMessage(long eventUs, long ingestUs) {
    for (LiveRule live : touched) {
      Rule rule = live.rule;
      long windowUs = rule.windowUs();
      long startUs = windowUs > 0 ? Math.floorDiv(eventUs, windowUs) * windowUs : NONE;
      double[] values = valuesOf(live, variable -> remembered(live, variable, startUs));
      if (values != null) conclude(live, values, eventUs, ingestUs, startUs, windowUs > 0);
    }
    touched.clear();
  }

  private double remembered(LiveRule live, Variable variable, long startUs) {
    MetricMemory memory = memories.get(variable.metric());
    if (memory == null) return Double.NaN;
    long windowUs = live.rule.windowUs();
    return windowUs > 0
        ? memory.readRunning(variable.of(), windowUs, startUs)
        : memory.read(variable.of(), live.since);
  }

  /** The partials of one window; rules on several metrics need all of theirs. */
  public void windowClosed(
      List<Closed> closed, long windowUs, long startUs, long ingestUs, long stalenessUs) {
    long endUs = startUs + windowUs;
    if (endUs < ingestUs - stalenessUs) return;
    Set<LiveRule> waiting = new LinkedHashSet<>();
    Map<String, Partial> byMetric = new HashMap<>();
    for (Closed one : closed) {
      byMetric.put(one.metric(), one.partial());
      for (LiveRule live : List.copyOf(concern.rulesOn(one.metric(), one.type()))) {
        if (live.rule.on() != Rule.On.WINDOW || live.rule.windowUs() != windowUs) continue;
        if (live.rule.metrics().size() > 1) waiting.add(live);
        else decideWindow(live, Map.of(one.metric(), one.partial()), startUs, ingestUs);
      }
    }
    for (LiveRule live : waiting) decideWindow(live, byMetric, startUs, ingestUs);
  }

  private void decideWindow(
      LiveRule live, Map<String, Partial> partials, long startUs, long ingestUs) {
    double[] values =
        valuesOf(
            live,
            variable -> {
              Partial partial = partials.get(variable.metric());
              return partial == null
                  ? Double.NaN
                  : MetricMemory.aggregateOf(variable.of(), partial);
            });
    if (values == null) return;
    conclude(live, values, startUs + live.rule.windowUs(), ingestUs, startUs, false);
  }

  private interface Reading {
    double of(Variable variable);
  }

  /** Null when one is not known. */
  private double[] valuesOf(LiveRule live, Reading reading) {
    List<Variable> variables = live.rule.variables();
    double[] values = new double[variables.size()];
    for (int i = 0; i < values.length; i++) {
      Variable variable = variables.get(i);
      values[i] = variable.isOfDevice() ? concern.said(variable) : reading.of(variable);
      if (Double.isNaN(values[i])) return null;
    }
    return values;
  }

  /** @param isRunning what ends it, only the window's end can tell */
  private void conclude(
      LiveRule live, double[] values, long eventUs, long ingestUs, long windowUs, boolean isRunning) {
    Rule rule = live.rule;
    boolean holds = rule.condition().holds(values);
    if (!holds && episodes.isEmpty()) return;
    Boolean isEnded = null;
    if (!isRunning) isEnded = rule.clear() == null ? !holds : rule.clear().holds(values);
    episodes.decide(
        live,
        new Episodes.Finding(holds, isEnded, values, eventUs, ingestUs, Double.NaN, windowUs));
  }

  /** What waited long enough by then happens, each at its own time. */
  public void fallDue(long untilUs) {
    for (; ; ) {
      Episode next = episodes.nextDue();
      LiveRule silence = null;
      long silenceUs = Long.MAX_VALUE;
      for (LiveRule live : concern.silences()) {
        long dueUs = silenceDueUs(live);
        if (dueUs < silenceUs) {
          silence = live;
          silenceUs = dueUs;
        }
      }
      long episodeUs = next == null ? Long.MAX_VALUE : next.dueUs();
      if (Math.min(episodeUs, silenceUs) > untilUs) return;
      if (silenceUs < episodeUs) episodes.fireSilence(silence, silenceUs);
      else if (episodes.fallDue(next, episodeUs) && next.live.rule.on() == Rule.On.SILENCE)
        silentFromUs = Math.max(silentFromUs, episodeUs);
    }
  }

  /** MAX_VALUE: never, as it is. */
  public long nextDueUs() {
    Episode next = episodes.nextDue();
    long dueUs = next == null ? Long.MAX_VALUE : next.dueUs();
    for (LiveRule live : concern.silences()) dueUs = Math.min(dueUs, silenceDueUs(live));
    return dueUs;
  }

  /** When the device was silent for too long, and the rule is watched. */
  private long silenceDueUs(LiveRule live) {
    if (heardSequence < live.since || heardSequence == NONE) return Long.MAX_VALUE;
    if (episodes.find(live) != null) return Long.MAX_VALUE;
    long dueUs = Math.max(heardUs + live.rule.silentUs(), silentFromUs);
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
      if (live.opening.isOpen(dueUs)) return dueUs;
      dueUs = live.opening.changesAtUs(dueUs);
    }
    return Long.MAX_VALUE;
  }

  /** These rules are gone, at the time {@code clockUs}. */
  public void removed(List<LiveRule> gone, long clockUs) {
    if (gone.isEmpty()) return;
    for (LiveRule live : gone)
      episodes.endAll(one -> one.live != null && one.live.order == live.order, clockUs);
    concern.removed(gone);
  }

  /** What the registry says of the device from now on, {@code NamedFacts} as JSON. */
  public void learn(String json, long clockUs) {
    concern.learn(json);
    endOthers(clockUs);
    silentFromUs = Math.max(silentFromUs, clockUs);
    if (!concern.silences().iterator().hasNext()) heardSequence = NONE;
  }

  /** Ends what is of rules that do not concern the device any more, or are gone. */
  public void endOthers(long clockUs) {
    episodes.endAll(one -> one.live == null || !concern.isOf(one.live), clockUs);
  }

  /** The gateway's clock was set: what waits goes on as if it had not been. */
  public void shift(long stepUs, long nowUs) {
    episodes.shift(stepUs, nowUs);
    if (heardSequence != NONE) heardUs = Math.min(heardUs + stepUs, nowUs);
    silentFromUs = nowUs;
  }

  /**
   * The device is in another partition now, whose sequence is another's: its rules know what it said
   * before.
   */
  public void renumber(long sequence) {
    if (heardSequence != NONE) heardSequence = sequence;
    for (MetricMemory memory : memories.values()) memory.renumber(sequence);
  }

  /** Something is told of the device that ends with its rule. */
  public boolean isBusy() {
    return !episodes.isEmpty();
  }

  /** The series is forgotten: what was pending is as if it had never begun. */
  public void forget(String metric) {
    memories.remove(metric);
    episodes.cancelAll(one -> one.live != null && one.live.rule.metrics().contains(metric));
  }

  private void tell(Episode episode, boolean isResolved, long atUs) {
    emit.accept(
        episode.words.event(device.tenant(), device.deviceId(), episode, isResolved, atUs));
  }

  public void clear() {
    episodes.clear();
    memories.clear();
    touched.clear();
    concern.learn(null);
    heardUs = NONE;
    heardSequence = NONE;
    silentFromUs = NONE;
  }

  public void write(StateWriter to) {
    concern.write(to);
    to.put(heardUs);
    to.put(heardSequence);
    to.put(silentFromUs);
    to.put(memories.size());
    memories.forEach(
        (metric, memory) -> {
          to.put(metric);
          memory.write(to);
        });
    episodes.write(to);
  }

  /** Behind it, {@link #bind} what is in force. */
  public void read(ByteBuffer from) {
    clear();
    concern.read(from);
    heardUs = from.getLong();
    heardSequence = from.getLong();
    silentFromUs = from.getLong();
    for (int left = from.getInt(); left > 0; left--)
      memories.put(StateWriter.textOf(from), MetricMemory.read(from));
    episodes.read(from);
  }
}
