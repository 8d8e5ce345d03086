import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Kafka's half of the cross-check. For each line CLASS VERSION HEX, or CLASS VERSION {json}, of stdin: the message as
 * Kafka's generated class writes it, as HEX JSON, or "error WHAT". An empty message is "-".
 */
public class Codec {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message.",
        "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.",
    };
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final Map<String, Class<?>> CLASSES = new HashMap<>();

    private static Class<?> find(String name) {
        return CLASSES.computeIfAbsent(name, n -> {
            for (String prefix : PACKAGES) {
                try {
                    return Class.forName(prefix + n);
                } catch (ClassNotFoundException next) {
                    continue;
                }
            }
            throw new IllegalArgumentException("no class " + n);
        });
    }

    private static Method converter(String name, String method) {
        for (Method m : find(name + "JsonConverter").getMethods()) {
            if (m.getName().equals(method) && m.getParameterCount() == (method.equals("read") ? 2 : 3))
                return m;
        }
        throw new IllegalArgumentException("no converter for " + name);
    }

    private static Message decode(String name, short version, String text) throws Exception {
        if (text.startsWith("{"))
            return (Message) converter(name, "read").invoke(null, MAPPER.readTree(text), version);
        byte[] bytes = text.equals("-") ? new byte[0] : HexFormat.of().parseHex(text);
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        Message message = (Message) find(name).getConstructor().newInstance();
        message.read(new ByteBufferAccessor(buffer), version);
        if (buffer.hasRemaining())
            throw new IllegalArgumentException(buffer.remaining() + " bytes left");
        return message;
    }

    private static String answer(String name, short version, String text) throws Exception {
        Message message = decode(name, version, text);
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        JsonNode json = (JsonNode) converter(name, "write").invoke(null, message, version, false);
        String hex = HexFormat.of().formatHex(buffer.array(), 0, buffer.position());
        return (hex.isEmpty() ? "-" : hex) + " " + MAPPER.writeValueAsString(json);
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"), 1 << 20);
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", 3);
            try {
                out.println(answer(words[0], Short.parseShort(words[1]), words[2]));
            } catch (Exception e) {
                Throwable cause = e.getCause() != null ? e.getCause() : e;
                out.println("error " + cause.toString().replace('\n', ' '));
            }
        }
        out.flush();
    }
}
