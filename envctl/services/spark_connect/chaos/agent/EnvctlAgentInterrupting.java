import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.connect.service.ExecuteInfo;
import org.apache.spark.sql.connect.service.SessionHolder;
import org.apache.spark.sql.connect.service.SessionKey;
import org.apache.spark.sql.connect.service.SparkConnectService$;
import scala.Option;
import scala.concurrent.Await;
import scala.concurrent.duration.Duration;

/** Interrupts what clients run, each operation when it has been seen for some time. */
class EnvctlAgentInterrupting extends EnvctlAgent.Force {
  private final Map<String, Long> seen = new HashMap<>();

  EnvctlAgentInterrupting(EnvctlAgent.Wanted wanted) {
    super(wanted);
  }

  @Override
  boolean look() {
    Set<String> now = new HashSet<>();
    var found = SparkConnectService$.MODULE$.executionManager().listActiveExecutions();
    if (found.isRight()) {
      for (ExecuteInfo one : EnvctlAgent.list(found.toOption().get())) {
        now.add(one.operationId());
        meet(one);
      }
    }
    seen.keySet().retainAll(now);
    return true;
  }

  @Override
  void undo() {}

  private void meet(ExecuteInfo one) {
    long now = System.nanoTime();
    long ran = now - seen.computeIfAbsent(one.operationId(), id -> now);
    String tag = wanted.get("tag");
    boolean fits = wanted.fits(one.userId(), one.sessionId()) && (tag.isEmpty() || one.sparkSessionTags().contains(tag));
    if (wanted.isProbe(one.sessionId())) {
      probed.addAndGet(interrupt(one) ? 1 : 0);
    } else if (fits && ran >= wanted.number("after_ms") * 1_000_000L && !enough()) {
      hurt.addAndGet(interrupt(one) ? 1 : 0);
    }
  }

  /** Whether it was there to be interrupted. */
  private boolean interrupt(ExecuteInfo one) {
    try {
      if (wanted.get("how").equals("job")) {
        var cancelled = SparkContext.getOrCreate().cancelJobsWithTagWithFuture(one.jobTag(), "by envctl");
        return Await.result(cancelled, Duration.apply(5, "s")).nonEmpty();
      }
      SessionKey key = new SessionKey(one.userId(), one.sessionId());
      Option<SessionHolder> session = SparkConnectService$.MODULE$.sessionManager().getIsolatedSessionIfPresent(key);
      return session.isDefined() && session.get().interruptOperation(one.operationId()).nonEmpty();
    } catch (Exception goneMeanwhile) {
      return false;
    }
  }
}
