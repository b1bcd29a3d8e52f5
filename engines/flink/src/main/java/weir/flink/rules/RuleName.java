package weir.flink.rules;

/** @param version ascends with every change of the rule, also over its removal */
public record RuleName(String id, long version) {}
