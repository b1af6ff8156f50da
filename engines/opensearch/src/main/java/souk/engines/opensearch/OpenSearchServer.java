package souk.engines.opensearch;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.opensearch.Version;
import org.opensearch.analysis.common.CommonAnalysisModulePlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.index.mapper.MapperExtrasModulePlugin;
import org.opensearch.index.reindex.ReindexModulePlugin;
import org.opensearch.join.ParentJoinModulePlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessModulePlugin;
import org.opensearch.plugins.PluginInfo;
import org.opensearch.transport.Netty4ModulePlugin;

/** OpenSearch's own node, with modules that its distribution has, out of the class path. */
public class OpenSearchServer extends Node {
    private static final List<PluginInfo> MODULES =
            Stream.of(
                            Netty4ModulePlugin.class,
                            CommonAnalysisModulePlugin.class,
                            PainlessModulePlugin.class,
                            ReindexModulePlugin.class,
                            ParentJoinModulePlugin.class,
                            MapperExtrasModulePlugin.class)
                    .map(Class::getName)
                    .map(name -> new PluginInfo(name, "", "NA", Version.CURRENT, "21", name, null, List.of(), false))
                    .toList();

    OpenSearchServer(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "souk"), MODULES, false);
    }

    /** Runs it until the process is asked to end. Arguments: its home folder, its HTTP port, its transport port. */
    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        Settings settings =
                Settings.builder()
                        .put("path.home", home)
                        .put("path.data", home.resolve("data"))
                        .put("path.logs", home.resolve("logs"))
                        .put("cluster.name", "souk")
                        .put("node.name", "souk")
                        .put("network.host", "127.0.0.1")
                        .put("http.port", arguments[1])
                        .put("transport.port", arguments[2])
                        .put("discovery.type", "single-node")
                        // A machine of a developer may be nearly full.
                        .put("cluster.routing.allocation.disk.threshold_enabled", false)
                        .build();
        Node node = new OpenSearchServer(settings).start();
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
