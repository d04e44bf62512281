package dermedge.infer

import dermedge.core.Answer
import dermedge.core.AppRuntime
import dermedge.core.Bundle
import dermedge.core.BundleFiles
import dermedge.core.Predictor
import dermedge.core.Reason
import dermedge.core.Refused
import dermedge.core.checkProbabilities
import dermedge.core.openBundle
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The bundled file in the phone's interpreter. [accelerator]: `cpu` or `gpu`. Of the thread that opened it alone. */
class Model private constructor(
    val bundle: Bundle, private val interpreter: Interpreter, private val delegate: Delegate?, val loadMilliseconds: Double,
) : Predictor {
    val accelerator = if (delegate == null) "cpu" else "gpu"
    val manifest = bundle.manifest
    private val entry = manifest.file
    private val image = inputs().indexOfFirst { it.shape().size == 4 }
    private val answers = inputs().indexOfFirst { it.shape().size == 2 }
    private val probabilities = outputs().indexOfFirst { it.shape().size == 2 }
    private val mask = outputs().indexOfFirst { it.shape().size == 4 }
    private val places = manifest.questions.sumOf { it.length }

    init {
        val side = manifest.side
        val good = image >= 0 && fits(inputs()[image], entry.input, 1, side, side, 3) &&
            probabilities >= 0 && fits(outputs()[probabilities], entry.output, 1, manifest.labels.size) &&
            (answers >= 0) == entry.answers && (answers < 0 || fits(inputs()[answers], "float32", 1, places)) &&
            (mask >= 0) == (manifest.maskThreshold != null) && (mask < 0 || fits(outputs()[mask], "float32", 1, side, side, 1))
        if (!good) {
            interpreter.close()
            throw Refused(Reason.OTHER_TENSORS, entry.file)
        }
    }

    override fun run(square: ByteArray, given: FloatArray): Answer {
        val sent = arrayOfNulls<Any>(interpreter.inputTensorCount)
        sent[image] = buffer(inputs()[image]).apply {
            if (entry.input == "uint8") put(square) else for (byte in square) putFloat((byte.toInt() and 0xff).toFloat())
            rewind()
        }
        if (answers >= 0) sent[answers] = buffer(inputs()[answers]).apply { given.forEach { putFloat(it) }; rewind() }
        val received = (0 until interpreter.outputTensorCount).associateWith { buffer(outputs()[it]) }
        interpreter.runForMultipleInputsOutputs(sent, received.toMap<Int, Any>())
        val numbers = received.getValue(probabilities).apply { rewind() }
        val answer = DoubleArray(manifest.labels.size) {
            if (entry.output == "uint8") {
                ((numbers.get().toInt() and 0xff) - entry.zeroPoint) * entry.scale
            } else {
                numbers.getFloat().toDouble()
            }
        }
        checkProbabilities(answer, manifest.labels.size)
        val found = received[mask]?.apply { rewind() }?.let { floats -> FloatArray(manifest.side * manifest.side) { floats.getFloat() } }
        return Answer(answer, found)
    }

    private fun inputs() = List(interpreter.inputTensorCount) { interpreter.getInputTensor(it) }

    private fun outputs() = List(interpreter.outputTensorCount) { interpreter.getOutputTensor(it) }

    private fun buffer(tensor: Tensor) = ByteBuffer.allocateDirect(tensor.numBytes()).order(ByteOrder.nativeOrder())

    override fun close() {
        interpreter.close() // before the delegate, which it uses
        delegate?.close()
    }

    companion object {
        private const val THREADS = 2

        /** Reads, checks and opens a bundle, on the CPU or with a delegate, which is then the model's. Throws Refused. */
        fun open(files: BundleFiles, runtime: AppRuntime, delegate: Delegate? = null): Model = try {
            opened(files, runtime, delegate)
        } catch (error: Exception) {
            delegate?.close()
            throw error
        }

        private fun opened(files: BundleFiles, runtime: AppRuntime, delegate: Delegate?): Model {
            val begun = System.nanoTime()
            val bundle = openBundle(files, runtime)
            val content = ByteBuffer.allocateDirect(bundle.model.size).order(ByteOrder.nativeOrder())
            content.put(bundle.model).rewind()
            val interpreter = try {
                val options = Interpreter.Options().setNumThreads(THREADS).apply { delegate?.let(::addDelegate) }
                Interpreter(content, options).apply { allocateTensors() }
            } catch (error: IllegalArgumentException) { // what the library says of a file that it does not open
                throw Refused(Reason.CANNOT_OPEN, bundle.manifest.file.file, error.message.orEmpty())
            } catch (error: IllegalStateException) {
                throw Refused(Reason.CANNOT_OPEN, bundle.manifest.file.file, error.message.orEmpty())
            }
            return Model(bundle, interpreter, delegate, (System.nanoTime() - begun) / 1e6)
        }

        private fun fits(tensor: Tensor, type: String, vararg shape: Int): Boolean {
            val wanted = if (type == "uint8") DataType.UINT8 else DataType.FLOAT32
            return tensor.dataType() == wanted && tensor.shape().contentEquals(shape)
        }
    }
}
