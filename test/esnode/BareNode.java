import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsUtils;

/** One Elasticsearch node on the loopback interface. Arguments: home directory, HTTP port. Says "ready" when it answers. */
public final class BareNode {
  public static void main(String[] args) throws Exception {
    Path home = Path.of(args[0]);
    LogConfigurator.setNodeName("voucherwatch-test");
    LogConfigurator.configureESLogging();
    var settings = Settings.builder();
    Map.of(
            "path.home", home.toString(),
            "path.data", home.resolve("data").toString(),
            "path.logs", home.resolve("logs").toString(),
            "node.name", "voucherwatch-test",
            "cluster.name", "voucherwatch-test",
            "discovery.type", "single-node",
            "network.host", "127.0.0.1",
            "http.port", args[1],
            "http.type", "netty4",
            "transport.type", "netty4")
        .forEach(settings::put);
    settings.put("transport.port", "0");
    // A developer's disk is often nearly full, and that is no reason to refuse a test's index.
    settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
    var environment = new Environment(settings.build(), home.resolve("config"));
    var plugins = PluginsLoader.createPluginsLoader(PluginsUtils.getModuleBundles(home.resolve("modules")), Set.of(), Map.of());
    var node = new Node(environment, plugins);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        node.close();
      } catch (Exception e) {
        e.printStackTrace();
      }
    }));
    node.start();
    System.out.println("ready");
    Thread.currentThread().join();
  }
}
