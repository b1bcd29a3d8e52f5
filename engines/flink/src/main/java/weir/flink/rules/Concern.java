package weir.flink.rules;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import weir.flink.entries.Message;
import weir.flink.plan.Rule;
import weir.flink.plan.Variable;
import weir.flink.state.StateWriter;

/**
 * Which rules look at a device, by what it is called, what the registry says of it, and which series
 * it has. What it missed it makes up for under the rules of then.
 */
public final class Concern {
  /** Whose rules they are. */
  public interface Device {
    String tenant();

    String deviceId();

    /** Of its first series. */
    String type();

    /** Of devices of this type; null: of any. */
    boolean hasSeries(String metric, String type);

    boolean hasSeriesOf(String type);
  }

  private final Device device;
  private RuleBook book;
  private String facts;
  private Facts parsedFacts;
  /** Rules that came after this are not there yet, … */
  private long visibleThrough = Long.MAX_VALUE;
  /** … and these are still there, while the device makes up for what it missed. */
  private List<LiveRule> leaving = List.of();

  private final List<LiveRule> found = new ArrayList<>();
  /** Of silence; null when they are to be found anew. */
  private List<LiveRule> silences;

  Concern(Device device) {
    this.device = device;
  }

  RuleBook book() {
    return book;
  }

  void bind(RuleBook book, List<LiveRule> gone) {
    this.book = book;
    leaving = gone;
    silences = null;
  }

  /** The device has another series. */
  void grew() {
    silences = null;
  }

  void setVisible(long throughSequence) {
    visibleThrough = throughSequence;
    silences = null;
  }

  void removed(List<LiveRule> gone) {
    List<LiveRule> left = new ArrayList<>(leaving);
    for (LiveRule live : gone) left.removeIf(one -> one.order == live.order);
    leaving = left;
    silences = null;
  }

  /** {@code NamedFacts} as JSON, or null. */
  void learn(String json) {
    facts = json;
    parsedFacts = null;
    silences = null;
  }

  /** NaN where nothing is said. */
  double said(Variable variable) {
    String text =
        switch (variable.field()) {
          case "id" -> device.deviceId();
          case "type" -> typeOfDevice();
          case "location" -> facts() == null ? null : facts().location();
          default -> facts() == null ? null : facts().tags().get(variable.tag());
        };
    if (text == null) return Double.NaN;
    return variable.isText() ? Message.textId(text) : Numbers.of(text);
  }

  boolean isOf(LiveRule live) {
    Rule rule = live.rule;
    if (live.since > visibleThrough || !isOfDevice(live) || !hasTags(rule)) return false;
    if (rule.on() == Rule.On.SILENCE)
      return device.hasSeriesOf(null) && (rule.type() == null || rule.type().equals(typeOfDevice()));
    for (String metric : rule.metrics())
      if (device.hasSeries(metric, rule.type())) return true;
    return false;
  }

  private boolean isOfDevice(LiveRule live) {
    Set<String> ids = live.rule.deviceIds();
    return ids == null || ids.contains(device.deviceId());
  }

  private boolean hasTags(Rule rule) {
    if (rule.tags().isEmpty()) return true;
    if (facts() == null) return false;
    return facts().tags().entrySet().containsAll(rule.tags().entrySet());
  }

  /** The rules that look at a series, until the next call. */
  List<LiveRule> rulesOn(String metric, String type) {
    List<LiveRule> fleet = book.ofMetric(metric);
    List<LiveRule> own = ofDevice();
    found.clear();
    for (int i = 0; i < fleet.size(); i++) if (looksAt(fleet.get(i), type)) found.add(fleet.get(i));
    for (LiveRule live : own)
      if (live.rule.metrics().contains(metric) && looksAt(live, type)) found.add(live);
    for (LiveRule live : leaving)
      if (live.rule.metrics().contains(metric) && isOfDevice(live) && looksAt(live, type))
        found.add(live);
    return found;
  }

  private boolean looksAt(LiveRule live, String type) {
    String wanted = live.rule.type();
    boolean isOfType = wanted == null || wanted.equals(type);
    return isOfType && live.since <= visibleThrough && hasTags(live.rule);
  }

  /** Those that look at the device. */
  List<LiveRule> silences() {
    if (silences == null) silences = findSilences();
    return silences;
  }

  private List<LiveRule> findSilences() {
    List<LiveRule> own = ofDevice();
    if (book.silences().isEmpty() && own.isEmpty() && leaving.isEmpty()) return List.of();
    List<LiveRule> some = new ArrayList<>(2);
    for (LiveRule live : book.silences()) if (isOf(live)) some.add(live);
    for (LiveRule live : own) if (live.rule.on() == Rule.On.SILENCE && isOf(live)) some.add(live);
    for (LiveRule live : leaving)
      if (live.rule.on() == Rule.On.SILENCE && isOf(live)) some.add(live);
    return some;
  }

  private List<LiveRule> ofDevice() {
    return book.namesDevices() ? book.ofDevice(device.deviceId()) : List.of();
  }

  private String typeOfDevice() {
    return facts() == null ? device.type() : facts().deviceType();
  }

  private Facts facts() {
    if (parsedFacts == null && facts != null) parsedFacts = Facts.parse(facts);
    return parsedFacts;
  }

  void write(StateWriter to) {
    to.put(facts == null ? "" : facts);
  }

  void read(ByteBuffer from) {
    String text = StateWriter.textOf(from);
    learn(text.isEmpty() ? null : text);
  }
}
