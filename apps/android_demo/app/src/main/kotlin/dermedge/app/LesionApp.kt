package dermedge.app

import android.app.Activity
import android.app.Application
import android.os.Handler
import android.os.Looper
import dermedge.core.AppRuntime
import dermedge.core.BundleFiles
import dermedge.core.Refused
import dermedge.infer.Model
import java.io.FileNotFoundException
import java.util.concurrent.Executors

private const val FOLDER = "model" // in the assets: where dermedge bundle --app android puts it

/** What all screens share: the model, the one thread that uses it, and a square on its way from the camera. */
class LesionApp : Application() {
    private val worker = Executors.newSingleThreadExecutor()
    private val screen = Handler(Looper.getMainLooper())
    private var opened: Model? = null
    val runtime by lazy { AppRuntime(getString(R.string.runtime_library), getString(R.string.runtime_version)) }
    val files = BundleFiles { name ->
        try {
            assets.open("$FOLDER/$name").use { it.readBytes() }
        } catch (_: FileNotFoundException) {
            null
        }
    }

    /** What the camera took, until the first screen has it: the model's input. */
    @Volatile
    var taken: ByteArray? = null

    /** The model; opened when it is first asked for. On the worker's thread alone. Throws Refused. */
    fun model(): Model = opened ?: Model.open(files, runtime).also { opened = it }

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

val Activity.app: LesionApp get() = application as LesionApp
