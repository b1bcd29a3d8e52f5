package weir.flink.plan;

/** When a rule is watched at all: its schedule, computed once for each time that it changes. */
public final class Opening {
  private final Schedule schedule;
  private long fromUs = Long.MAX_VALUE;
  private long untilUs = Long.MIN_VALUE;
  private boolean isOpen = true;

  /** @param schedule null: always */
  public Opening(Schedule schedule) {
    this.schedule = schedule;
  }

  public boolean isOpen(long us) {
    if (schedule != null) look(us);
    return isOpen;
  }

  /** When to look again; MAX_VALUE without a schedule. */
  public long changesAtUs(long us) {
    if (schedule == null) return Long.MAX_VALUE;
    look(us);
    return untilUs;
  }

  private void look(long us) {
    if (us >= fromUs && us < untilUs) return;
    isOpen = schedule.isWithin(us);
    fromUs = us;
    untilUs = schedule.nextChangeUs(us);
  }
}
