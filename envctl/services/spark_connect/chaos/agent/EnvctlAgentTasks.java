import java.lang.reflect.Field;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskFailedReason;
import org.apache.spark.TaskKilledException;
import org.apache.spark.internal.plugin.PluginContainer;
import org.apache.spark.util.TaskCompletionListener;
import scala.Option;

/** Fails or kills attempts of tasks, in their own threads: where Spark tells its executor's plugins of each. */
class EnvctlAgentTasks extends EnvctlAgent.Force {
  private final AtomicLong seen = new AtomicLong();
  private Object before;

  EnvctlAgentTasks(EnvctlAgent.Wanted wanted) {
    super(wanted);
  }

  @Override
  void put() throws Exception {
    Object executor = executor();
    before = field(executor, "plugins").get(executor);
    Plugins plugins = new Plugins();
    plugins.others = (PluginContainer) ((Option<?>) before).getOrElse(() -> null);
    plugins.tasks = this;
    field(executor, "plugins").set(executor, Option.apply(plugins));
  }

  @Override
  void undo() throws Exception {
    Object executor = executor();
    field(executor, "plugins").set(executor, before);
  }

  static boolean isHooked() {
    try {
      Object executor = executor();
      Object plugins = ((Option<?>) field(executor, "plugins").get(executor)).getOrElse(() -> null);
      return plugins != null && plugins.getClass().getName().startsWith("Envctl");
    } catch (ReflectiveOperationException | IllegalStateException notHere) {
      return false;
    }
  }

  /** The executor of local mode, found through the endpoint by which the scheduler talks with it. */
  private static Object executor() throws ReflectiveOperationException {
    Object dispatcher = get(SparkEnv.get().rpcEnv(), "dispatcher");
    for (Object endpoint : ((Map<?, ?>) get(dispatcher, "endpointRefs")).keySet()) {
      if (endpoint.getClass().getSimpleName().equals("LocalEndpoint")) {
        return get(endpoint, "org$apache$spark$scheduler$local$LocalEndpoint$$executor");
      }
    }
    throw new IllegalStateException("this server's tasks run in other processes");
  }

  private static Object get(Object of, String name) throws ReflectiveOperationException {
    return field(of, name).get(of);
  }

  private static Field field(Object of, String name) throws ReflectiveOperationException {
    Field found = of.getClass().getDeclaredField(name);
    found.setAccessible(true);
    return found;
  }

  private void started(TaskContext task) {
    String tags = String.valueOf(task.getLocalProperty("spark.job.tags"));
    boolean probe = tags.contains("_Session_" + wanted.get("probe") + "_");
    boolean kill = wanted.get("how").equals("kill");
    if (task.attemptNumber() >= (probe && kill ? 1 : wanted.number("attempts")) || !probe && !meant(tags)) {
      return;
    }
    (probe ? probed : hurt).incrementAndGet();
    if (kill) {
      throw new TaskKilledException("killed by envctl");
    }
    if (wanted.get("how").equals("error")) {
      throw new IllegalStateException("failed by envctl");
    }
    task.addTaskCompletionListener(new Late());
  }

  /** Whether this one is to be hurt: of a user and session that fit, each so many, and only so many. */
  private boolean meant(String tags) {
    String user = wanted.get("user").isEmpty() ? "" : "_User_" + wanted.get("user") + "_Session_";
    String session = wanted.get("session").isEmpty() ? "" : "_Session_" + wanted.get("session") + "_";
    boolean fits = tags.contains(user) && tags.contains(session);
    return fits && seen.incrementAndGet() % wanted.number("every") == 0 && !enough();
  }

  private static class Late implements TaskCompletionListener {
    @Override
    public void onTaskCompletion(TaskContext task) {
      throw new IllegalStateException("failed by envctl");
    }
  }

  /** The plugins that the executor had, and this. */
  private static class Plugins extends PluginContainer {
    PluginContainer others;
    EnvctlAgentTasks tasks;

    @Override
    public void onTaskStart() {
      if (others != null) {
        others.onTaskStart();
      }
      tasks.started(TaskContext.get());
    }

    @Override
    public void onTaskSucceeded() {
      if (others != null) {
        others.onTaskSucceeded();
      }
    }

    @Override
    public void onTaskFailed(TaskFailedReason reason) {
      if (others != null) {
        others.onTaskFailed(reason);
      }
    }

    @Override
    public void registerMetrics(String application) {
      if (others != null) {
        others.registerMetrics(application);
      }
    }

    @Override
    public void shutdown() {
      if (others != null) {
        others.shutdown();
      }
    }
  }
}
