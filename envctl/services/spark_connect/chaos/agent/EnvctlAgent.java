import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.connect.service.SessionHolderInfo;
import org.apache.spark.sql.connect.service.SparkConnectService$;
import scala.collection.immutable.Seq;

/**
 * What envctl does inside a Spark Connect server. It is compiled against that server's own jars and loaded into it;
 * each request is a text `command=...&key=value`, and its answer, of the same form, goes into the file `answer`.
 * What is in force has a token, and ends by itself after its `seconds`, whatever becomes of envctl.
 */
public class EnvctlAgent {
  private static final Map<String, Force> IN_FORCE = new ConcurrentHashMap<>();

  /** A request. `probe` is the session by which envctl itself looks: it is always hurt, and never counted. */
  static class Wanted extends HashMap<String, String> {
    Wanted(String text) {
      for (String pair : text.split("&")) {
        String[] halves = pair.split("=", 2);
        put(halves[0], URLDecoder.decode(halves[1], StandardCharsets.UTF_8));
      }
    }

    long number(String key) {
      return Long.parseLong(get(key));
    }

    boolean isProbe(String session) {
      return session.equals(get("probe"));
    }

    boolean fits(String user, String session) {
      return (get("user").isEmpty() || get("user").equals(user))
          && (get("session").isEmpty() || get("session").equals(session));
    }
  }

  /** Something in force: a thread that works until it is ended, or its time is over. */
  abstract static class Force extends Thread {
    final Wanted wanted;
    final AtomicLong hurt = new AtomicLong();
    final AtomicLong probed = new AtomicLong();
    volatile boolean over;
    private final long until;

    Force(Wanted wanted) {
      super(wanted.get("token"));
      this.wanted = wanted;
      until = System.nanoTime() + wanted.number("seconds") * 1_000_000_000L;
      setDaemon(true);
    }

    /** Returns when it is in force. */
    void put() throws Exception {}

    /** Looks once; false when there is nothing more to do. */
    boolean look() throws Exception {
      return true;
    }

    abstract void undo() throws Exception;

    /** Whether so many were hurt that it is enough. */
    boolean enough() {
      return wanted.number("count") > 0 && hurt.get() >= wanted.number("count");
    }

    @Override
    public void run() {
      try {
        while (!over && System.nanoTime() < until && look()) {
          Thread.sleep(10);
        }
      } catch (Throwable error) {
        error.printStackTrace();
      }
      try {
        undo();
      } catch (Throwable error) {
        error.printStackTrace();
      } finally {
        IN_FORCE.remove(wanted.get("token"));
      }
    }
  }

  public static void agentmain(String text) throws Exception {
    Wanted wanted = new Wanted(text);
    StringBuilder answer = new StringBuilder("answered=1&");
    try {
      for (String[] pair : answer(wanted)) {
        answer.append(pair[0]).append('=').append(URLEncoder.encode(pair[1], StandardCharsets.UTF_8)).append('&');
      }
    } catch (Throwable error) {
      answer.append("problem=").append(URLEncoder.encode(error.toString(), StandardCharsets.UTF_8));
    }
    Files.writeString(Path.of(wanted.get("answer")), answer);
  }

  private static List<String[]> answer(Wanted wanted) throws Exception {
    switch (wanted.get("command")) {
      case "interrupt":
        return begin(wanted, new EnvctlAgentInterrupting(wanted));
      case "tasks":
        return begin(wanted, new EnvctlAgentTasks(wanted));
      case "heap":
        return begin(wanted, new EnvctlAgentHeap(wanted));
      case "end":
        Force force = IN_FORCE.get(wanted.get("token"));
        if (force != null) {
          force.over = true;
          force.join(10_000);
        }
        return state(wanted, force);
      case "state":
        return state(wanted, IN_FORCE.get(wanted.get("token")));
      case "sessions":
        return sessions(wanted, "");
      case "lose":
        return sessions(wanted, wanted.get("how"));
      default:
        throw new IllegalArgumentException(wanted.get("command"));
    }
  }

  private static List<String[]> begin(Wanted wanted, Force force) throws Exception {
    if (IN_FORCE.putIfAbsent(wanted.get("token"), force) == null) {
      try {
        force.put();
        force.start();
      } catch (Throwable error) {
        IN_FORCE.remove(wanted.get("token"));
        throw error;
      }
    }
    return state(wanted, IN_FORCE.get(wanted.get("token")));
  }

  private static List<String[]> state(Wanted wanted, Force force) {
    List<String[]> said = new ArrayList<>();
    said.add(new String[] {"in_force", IN_FORCE.containsKey(wanted.get("token")) ? "1" : "0"});
    said.add(new String[] {"hurt", force == null ? "0" : "" + force.hurt});
    said.add(new String[] {"probed", force == null ? "0" : "" + force.probed});
    said.add(new String[] {"hooked", EnvctlAgentTasks.isHooked() ? "1" : "0"});
    said.add(new String[] {"jobs", "" + SparkContext.getOrCreate().statusTracker().getActiveJobIds().length});
    said.add(new String[] {"heap", "" + Runtime.getRuntime().maxMemory()});
    said.add(new String[] {"free", "" + free()});
    return said;
  }

  /** What can still be allocated, garbage left aside. */
  static long free() {
    Runtime java = Runtime.getRuntime();
    return java.maxMemory() - java.totalMemory() + java.freeMemory();
  }

  /** The sessions that fit; they are closed, or forgotten, so that the server does not know that there ever was one. */
  private static List<String[]> sessions(Wanted wanted, String how) {
    List<String[]> found = new ArrayList<>();
    for (SessionHolderInfo one : list(SparkConnectService$.MODULE$.sessionManager().listActiveSessions())) {
      if (wanted.isProbe(one.sessionId()) || wanted.fits(one.userId(), one.sessionId())) {
        found.add(new String[] {"session", one.userId() + "/" + one.sessionId()});
        if (!how.isEmpty()) {
          SparkConnectService$.MODULE$.sessionManager().closeSession(one.key(), how.equals("forgotten"));
        }
      }
    }
    return found;
  }

  static <T> List<T> list(Seq<T> found) {
    List<T> all = new ArrayList<>();
    for (scala.collection.Iterator<T> one = found.iterator(); one.hasNext(); ) {
      all.add(one.next());
    }
    return all;
  }
}
