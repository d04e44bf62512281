package dermedge.app

import android.app.Activity
import android.app.Application
import android.os.Handler
import android.os.Looper
import dermedge.core.AppRuntime
import dermedge.core.BundleFiles
import dermedge.core.Pixels
import dermedge.core.Reason
import dermedge.core.Refused
import dermedge.core.agreeing
import dermedge.infer.Model
import dermedge.infer.gpuDelegate
import dermedge.infer.prompts
import org.tensorflow.lite.Delegate
import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.util.concurrent.Executors

const val CPU = "cpu"
const val GPU = "gpu"
private const val FOLDER = "model" // in the assets: where dermedge bundle --app android puts it

/** What all screens share: the model, the one thread that uses it, and a square on its way from the camera. */
class LesionApp : Application() {
    private val worker = Executors.newSingleThreadExecutor()
    private val screen = Handler(Looper.getMainLooper())
    private var opened: Model? = null

    /** Why the GPU computes no longer, which the user had chosen. */
    @Volatile
    var lost: String? = null
        private set

    /** How the GPU's delegate is made; null in a build without its library. */
    var gpu: (() -> Delegate?)? = gpuDelegate
        internal set
    val runtime by lazy { AppRuntime(getString(R.string.runtime_library), getString(R.string.runtime_version)) }
    var files = BundleFiles { name ->
        try {
            assets.open("$FOLDER/$name").use { it.readBytes() }
        } catch (_: FileNotFoundException) {
            null
        }
    }
        internal set

    /** What the camera took, until the first screen has it: the model's input. */
    @Volatile
    var taken: ByteArray? = null

    /** The model; opened when it is first asked for, on the CPU. On the worker's thread alone. Throws Refused. */
    fun model(): Model = opened ?: Model.open(files, runtime).also { opened = it }

    /** What is computed with the model; where the GPU fails, by the CPU, also from then on. As [model]. */
    fun <T> computed(work: (Model) -> T): T {
        val model = model()
        return try {
            work(model)
        } catch (error: Exception) {
            if (model.accelerator == CPU) throw error
            computeOnCpu()
            lost = error.message ?: error.toString()
            work(model())
        }
    }

    /** From now on the CPU computes, as the user chose. On the worker's thread alone. */
    fun computeOnCpu() {
        lost = null
        if (opened?.accelerator == CPU) return
        opened?.close()
        opened = null
    }

    /** From now on the GPU computes, if it answers the self-test as the CPU does; else throws Refused. As [model]. */
    fun computeOnGpu() {
        val cpu = model()
        lost = null
        val make = gpu ?: throw Refused(Reason.NO_ACCELERATOR)
        if (cpu.accelerator != CPU) return
        opened = agreeing(cpu, cpu.manifest, prompts(cpu, ::decodedTest)) { make()?.let { Model.open(files, runtime, it) } }
        cpu.close()
    }

    /** Computes on the worker; then [done] or [failed], with words for the user, on the screen's thread. */
    fun <T> compute(activity: Activity, work: () -> T, failed: (String) -> Unit, done: (T) -> Unit) {
        worker.execute {
            val shown: () -> Unit = try {
                val result = work()
                val show = { done(result) }
                show
            } catch (refused: Refused) {
                { failed(sentence(refused)) }
            } catch (error: Exception) {
                { failed(getString(R.string.unexpected, error.toString())) }
            } catch (error: OutOfMemoryError) {
                { failed(getString(R.string.unexpected, error.toString())) }
            }
            screen.post { if (!activity.isDestroyed) shown() }
        }
    }
}

/** The pixels of a self-test image. */
fun decodedTest(png: ByteArray): Pixels = decoded(ByteBuffer.wrap(png))

val Activity.app: LesionApp get() = application as LesionApp
