package weir.flink.rules;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import weir.flink.plan.Plan;
import weir.flink.plan.Rule;

/**
 * The rules that are in force in a partition: the plan's, and those that changes in the log brought.
 * A change whose version is not above the one known of its id changes nothing, also where the rule
 * is gone; ids of the plan's rules are the plan's. The twin of {@code src/stream/rule-book.ts}.
 */
public final class RuleBook {
  /** Changes' rules come behind the plan's, which has fewer than this. */
  private static final int ORDER_OF_CHANGES = 1_000_000;

  private final Map<String, LiveRule> ofPlan = new LinkedHashMap<>();
  private final Map<String, LiveRule> ofChanges = new LinkedHashMap<>();
  private final Map<String, Long> known = new LinkedHashMap<>();
  private int nextOrder = ORDER_OF_CHANGES;

  /** Rules on any device by the kind and name of a metric, those on silence, and one device's. */
  private final Map<String, List<LiveRule>> byMetric = new HashMap<>();
  private final List<LiveRule> silences = new ArrayList<>();
  private final Map<String, List<LiveRule>> byDevice = new HashMap<>();
  /** How many rules must know what was heard before of a metric. */
  private final Map<String, Integer> remembered = new HashMap<>();
  private int windowRules;

  /** The plan's rules know all that is heard. */
  public RuleBook(List<Rule> plan) {
    for (Rule rule : plan) add(ofPlan, new LiveRule(rule, "", ofPlan.size(), 0, true));
  }

  /**
   * Takes over the rules that changes brought, and since when those of the plan, which must be there,
   * have been; those that are new came at {@code sequence}. True when some are, or are gone.
   */
  public boolean restore(String saved, long sequence) {
    JsonNode root = Plan.tree(saved);
    Map<RuleName, Long> since = new HashMap<>();
    for (JsonNode one : root.path("plan")) since.put(nameOf(one), one.path("since").asLong());
    boolean isOther = since.size() != ofPlan.size();
    for (LiveRule live : List.copyOf(ofPlan.values())) {
      Long was = since.get(new RuleName(live.rule.id(), live.rule.version()));
      if (was == null) isOther = true;
      drop(ofPlan, live);
      add(ofPlan, new LiveRule(live.rule, "", live.order, was == null ? sequence : was, true));
    }
    nextOrder = root.path("nextOrder").asInt();
    for (JsonNode one : root.path("known")) known.put(one.path("id").asText(), version(one));
    for (JsonNode one : root.path("changed")) {
      Rule rule = Rule.parse(one.get("rule"));
      if (ofPlan.containsKey(rule.id())) continue;
      String written = one.get("rule").toString();
      int order = one.path("order").asInt();
      add(ofChanges, new LiveRule(rule, written, order, one.path("since").asLong(), false));
    }
    return isOther;
  }

  public String save() {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("nextOrder", nextOrder);
    ArrayNode plan = root.putArray("plan");
    for (LiveRule live : ofPlan.values())
      plan.addObject()
          .put("id", live.rule.id())
          .put("version", live.rule.version())
          .put("since", live.since);
    ArrayNode changed = root.putArray("changed");
    for (LiveRule live : ofChanges.values())
      changed
          .addObject()
          .put("order", live.order)
          .put("since", live.since)
          .set("rule", Plan.tree(live.written));
    ArrayNode names = root.putArray("known");
    known.forEach((id, version) -> names.addObject().put("id", id).put("version", version));
    return root.toString();
  }

  /**
   * Makes changes, {@code RuleChange[]} of {@code src/batch/batch.ts}; gives those rules that are
   * gone by them. Throws IllegalArgumentException, and then nothing has changed.
   */
  public List<LiveRule> apply(JsonNode changes, long since) {
    if (!changes.isArray()) throw new IllegalArgumentException("changes of rules are no list");
    List<Rule> puts = new ArrayList<>();
    for (JsonNode change : changes) puts.add(check(change));
    List<LiveRule> gone = new ArrayList<>();
    int at = 0;
    for (JsonNode change : changes) {
      Rule rule = puts.get(at++);
      if (rule != null) put(rule, change.get("put"), since, gone);
      else if (change.has("remove")) remove(nameOf(change.get("remove")), gone);
      else retain(change.get("retain"), gone);
    }
    return gone;
  }

  /** The rule of a change that brings one, else null. */
  private static Rule check(JsonNode change) {
    if (!change.isObject() || change.size() != 1)
      throw new IllegalArgumentException("no change of a rule");
    if (change.has("put")) return Rule.parse(change.get("put"));
    if (change.has("remove")) nameOf(change.get("remove"));
    else if (change.path("retain").isArray()) change.get("retain").forEach(RuleBook::nameOf);
    else throw new IllegalArgumentException("no change of a rule");
    return null;
  }

  private void put(Rule rule, JsonNode as, long since, List<LiveRule> gone) {
    if (!isNews(rule.id(), rule.version())) return;
    drop(rule.id(), gone);
    add(ofChanges, new LiveRule(rule, as.toString(), nextOrder++, since, false));
  }

  private void remove(RuleName name, List<LiveRule> gone) {
    if (isNews(name.id(), name.version())) drop(name.id(), gone);
  }

  private void retain(JsonNode names, List<LiveRule> gone) {
    Set<String> ids = new HashSet<>();
    for (JsonNode one : names) ids.add(nameOf(one).id());
    for (String id : List.copyOf(ofChanges.keySet())) if (!ids.contains(id)) drop(id, gone);
  }

  private boolean isNews(String id, long version) {
    if (ofPlan.containsKey(id) || version <= known.getOrDefault(id, 0L)) return false;
    known.put(id, version);
    return true;
  }

  private void drop(String id, List<LiveRule> gone) {
    LiveRule live = ofChanges.get(id);
    if (live == null) return;
    drop(ofChanges, live);
    gone.add(live);
  }

  private void add(Map<String, LiveRule> to, LiveRule live) {
    to.put(live.rule.id(), live);
    for (List<LiveRule> place : placesOf(live)) {
      place.add(live);
      place.sort(Comparator.comparingInt(one -> one.order));
    }
    if (live.rule.on() == Rule.On.WINDOW) windowRules++;
    if (live.isInterpreted())
      for (String metric : live.rule.metrics()) remembered.merge(metric, 1, Integer::sum);
  }

  private void drop(Map<String, LiveRule> from, LiveRule live) {
    from.remove(live.rule.id());
    for (List<LiveRule> place : placesOf(live)) place.remove(live);
    if (live.rule.on() == Rule.On.WINDOW) windowRules--;
    if (live.isInterpreted())
      for (String metric : live.rule.metrics())
        remembered.computeIfPresent(metric, (name, count) -> count == 1 ? null : count - 1);
  }

  private List<List<LiveRule>> placesOf(LiveRule live) {
    Rule rule = live.rule;
    List<List<LiveRule>> places = new ArrayList<>();
    if (rule.deviceIds() != null)
      for (String id : rule.deviceIds())
        places.add(byDevice.computeIfAbsent(id, key -> new ArrayList<>(1)));
    else if (rule.on() == Rule.On.SILENCE) places.add(silences);
    else
      for (String metric : rule.metrics())
        places.add(byMetric.computeIfAbsent(metric, key -> new ArrayList<>()));
    return places;
  }

  /** Rules of any device that look at a metric, by order. */
  List<LiveRule> ofMetric(String metric) {
    return byMetric.getOrDefault(metric, List.of());
  }

  List<LiveRule> silences() {
    return silences;
  }

  /** Whether any rule names devices. */
  boolean namesDevices() {
    return !byDevice.isEmpty();
  }

  /** Rules that name the device. */
  List<LiveRule> ofDevice(String deviceId) {
    return byDevice.getOrDefault(deviceId, List.of());
  }

  public boolean hasWindowRules() {
    return windowRules > 0;
  }

  boolean isRemembered(String metric) {
    return remembered.containsKey(metric);
  }

  /** Null when it is not in force in this version. */
  LiveRule find(RuleName name) {
    LiveRule live = ofPlan.get(name.id());
    if (live == null) live = ofChanges.get(name.id());
    return live == null || live.rule.version() != name.version() ? null : live;
  }

  private static RuleName nameOf(JsonNode one) {
    if (!one.path("id").isTextual() || !one.path("version").isIntegralNumber())
      throw new IllegalArgumentException("no change of a rule");
    return new RuleName(one.get("id").asText(), version(one));
  }

  private static long version(JsonNode one) {
    return one.path("version").asLong();
  }
}
