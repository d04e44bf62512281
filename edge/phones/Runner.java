import java.io.DataInputStream;
import java.io.EOFException;
import java.io.File;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;
import org.tensorflow.lite.TensorFlowLite;

/**
 * Runs a .tflite by Android's Java class Interpreter, frame by frame: {@code java Runner MODEL THREADS}. What goes in and
 * out is as in runner.c.
 */
public class Runner {
  private static final Map<String, Integer> TYPES = new HashMap<>(); // TfLiteType of the C API

  static {
    TYPES.put("FLOAT32", 1);
    TYPES.put("INT32", 2);
    TYPES.put("UINT8", 3);
    TYPES.put("INT64", 4);
    TYPES.put("INT8", 9);
  }

  public static void main(String[] arguments) throws Exception {
    PrintStream out = System.out;
    System.setOut(System.err); // what the library prints is no answer
    Interpreter.Options options = new Interpreter.Options().setNumThreads(Integer.parseInt(arguments[1]));
    Interpreter interpreter;
    try {
      interpreter = new Interpreter(new File(arguments[0]), options); // with XNNPACK, as on a phone
      interpreter.allocateTensors();
    } catch (IllegalArgumentException | IllegalStateException error) {
      System.err.println("runner: " + error.getMessage());
      System.exit(3);
      return;
    }
    Tensor[] inputs = new Tensor[interpreter.getInputTensorCount()];
    Tensor[] outputs = new Tensor[interpreter.getOutputTensorCount()];
    Arrays.setAll(inputs, interpreter::getInputTensor);
    Arrays.setAll(outputs, interpreter::getOutputTensor);
    out.print("{\"version\": \"" + TensorFlowLite.runtimeVersion() + "\", \"xnnpack\": true");
    out.println(", \"inputs\": " + described(inputs) + ", \"outputs\": " + described(outputs) + "}");
    out.flush();

    Object[] pictures = new Object[inputs.length];
    Map<Integer, Object> answers = new HashMap<>();
    DataInputStream in = new DataInputStream(System.in);
    while (true) {
      for (int i = 0; i < inputs.length; i++) {
        byte[] bytes = new byte[inputs[i].numBytes()];
        try {
          in.readFully(bytes);
        } catch (EOFException end) {
          interpreter.close();
          return;
        }
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder());
        buffer.put(bytes);
        buffer.rewind();
        pictures[i] = buffer;
      }
      for (int i = 0; i < outputs.length; i++) {
        answers.put(i, ByteBuffer.allocateDirect(outputs[i].numBytes()).order(ByteOrder.nativeOrder()));
      }
      interpreter.runForMultipleInputsOutputs(pictures, answers);
      for (int i = 0; i < outputs.length; i++) {
        write((ByteBuffer) answers.get(i), out);
      }
      out.flush();
    }
  }

  private static void write(ByteBuffer buffer, OutputStream out) throws Exception {
    buffer.rewind();
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    out.write(bytes);
  }

  private static String described(Tensor[] tensors) {
    StringBuilder text = new StringBuilder("[");
    for (int i = 0; i < tensors.length; i++) {
      String type = tensors[i].dataType().name();
      text.append(i > 0 ? ", " : "").append("{\"name\": \"").append(plain(tensors[i].name()));
      text.append("\", \"type\": ").append(TYPES.getOrDefault(type, 0));
      text.append(", \"shape\": ").append(Arrays.toString(tensors[i].shape())).append("}");
    }
    return text.append("]").toString();
  }

  /** A name as it stands in JSON: without what would have to be escaped there. */
  private static String plain(String name) {
    return name.replaceAll("[^A-Za-z0-9_:;./-]", "_");
  }
}
