package souk.engines.elasticsearch;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** Elasticsearch's own node, with the one of its modules that can be had: its transport. */
public class ElasticsearchServer {
    /** Runs it until the process is asked to end. Arguments: its home, its modules, its HTTP and transport ports. */
    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        LogConfigurator.configureESLogging();
        Settings settings =
                Settings.builder()
                        .put("path.home", home)
                        .put("cluster.name", "souk")
                        .put("node.name", "souk")
                        .put("network.host", "127.0.0.1")
                        .put("http.port", arguments[2])
                        .put("transport.port", arguments[3])
                        .put("discovery.type", "single-node")
                        // A machine of a developer may be nearly full.
                        .put("cluster.routing.allocation.disk.threshold_enabled", false)
                        .build();
        Environment environment =
                InternalSettingsPreparer.prepareEnvironment(
                        settings, Map.of(), home.resolve("config"), () -> "souk");
        Node node =
                new Node(
                        environment,
                        PluginsLoader.createPluginsLoader(
                                PluginsLoader.loadModulesBundles(Path.of(arguments[1]), false),
                                Set.of(),
                                Map.of(),
                                false));
        node.start();
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, ended)));
        ended.await();
    }

    private static void close(Node node, CountDownLatch ended) {
        try {
            node.close();
        } catch (IOException error) {
            error.printStackTrace();
        } finally {
            ended.countDown();
        }
    }
}
