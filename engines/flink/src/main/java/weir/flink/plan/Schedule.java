package weir.flink.plan;

import java.time.Instant;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

/**
 * Hours of the week by the clock on a wall. Whatever that clock shows counts: on the night when an
 * hour is left out, hours may be shorter or not be, and on the night when an hour comes twice, what
 * lies in it comes twice. The twin of {@code src/schedule/schedule.ts}.
 *
 * @param days 1 is Monday; hours that go over midnight belong to the day on which they begin
 * @param from minute of the day; equal to {@code to}: never
 * @param to up to 1440
 */
public record Schedule(Set<Integer> days, int from, int to, ZoneId zone) {
  private static final int HOUR = 60;
  private static final int DAY = 1440;
  private static final long MINUTE_US = 60_000_000;
  /** Nothing is further away than a week; a day more for clocks that are put right. */
  private static final long LOOK_AHEAD_US = 8 * DAY * MINUTE_US;

  public boolean isWithin(long us) {
    ZonedDateTime wall = wallAt(us);
    int minute = minuteOf(wall);
    int day = wall.getDayOfWeek().getValue();
    boolean isToday = days.contains(day);
    if (from <= to) return isToday && from <= minute && minute < to;
    boolean isYesterday = days.contains(day == 1 ? 7 : day - 1);
    return (isToday && minute >= from) || (isYesterday && minute < to);
  }

  /**
   * When it next begins or ends, at the beginning of a minute; the time to look again when that is
   * not within the next days. Steps go by the wall, up to an hour, and by the minute where the wall
   * is put right.
   */
  public long nextChangeUs(long nowUs) {
    boolean isNow = isWithin(nowUs);
    long us = Math.floorDiv(nowUs, MINUTE_US) * MINUTE_US;
    while (us <= nowUs || (isWithin(us) == isNow && us - nowUs < LOOK_AHEAD_US)) {
      int minute = minuteOf(wallAt(us));
      int step = HOUR;
      for (int edge : new int[] {from, to, 0}) {
        // A full day where the wall stands at the edge itself.
        int left = Math.floorMod(edge - minute, DAY);
        step = Math.min(step, left == 0 ? DAY : left);
      }
      long stepUs = step * MINUTE_US;
      us += offsetAt(us) == offsetAt(us + stepUs) ? stepUs : MINUTE_US;
    }
    return us;
  }

  private ZonedDateTime wallAt(long us) {
    return Instant.ofEpochMilli(Math.floorDiv(us, 1000)).atZone(zone);
  }

  /** Whole minutes that the wall is ahead. */
  private int offsetAt(long us) {
    return Math.floorDiv(wallAt(us).getOffset().getTotalSeconds(), 60);
  }

  private static int minuteOf(ZonedDateTime wall) {
    return wall.getHour() * 60 + wall.getMinute();
  }

  static Schedule parse(JsonNode one) {
    Set<Integer> days = new HashSet<>();
    for (JsonNode day : Plan.needed(one, "days")) days.add(day.asInt());
    return new Schedule(
        Set.copyOf(days),
        minuteOf(Plan.needed(one, "from").asText()),
        minuteOf(Plan.needed(one, "to").asText()),
        ZoneId.of(Plan.needed(one, "timeZone").asText()));
  }

  private static int minuteOf(String time) {
    return Integer.parseInt(time.substring(0, 2)) * 60 + Integer.parseInt(time.substring(3));
  }
}
