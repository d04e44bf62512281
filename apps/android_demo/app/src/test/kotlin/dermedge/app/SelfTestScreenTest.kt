package dermedge.app

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.provider.OpenableColumns
import android.view.View
import android.widget.LinearLayout
import dermedge.core.parseJson
import dermedge.infer.gpuDelegate
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.nnapi.NnApiDelegate
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.FileNotFoundException

/** The self-test, its report, and the choice of an accelerator. */
@RunWith(RobolectricTestRunner::class)
@Config(qualifiers = PHONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class SelfTestScreenTest {
    private fun ActivityController<SelfTestActivity>.report(): String = saved().getString("report")!!

    private fun ActivityController<SelfTestActivity>.part(name: String): Any? =
        (parseJson((parseJson(report()) as Map<*, *>)["body"] as String) as Map<*, *>)[name]

    @Test
    fun `the self-test passes and gives a report`() {
        val controller = tested()
        val words = controller.get().words(R.id.verdict)
        assertTrue(words, words.startsWith("Passed"))
        picture(controller.get(), "self-test")
        File(OUT, "device-report.json").writeText(controller.report())
    }

    @Test
    fun `what it showed is there again after the process has died`() {
        val controller = tested()
        val (first, state) = controller.get() to controller.saved()
        controller.pause().stop().destroy()
        val again = opened(SelfTestActivity::class.java, state).get()
        for (id in listOf(R.id.verdict, R.id.times, R.id.seen)) assertEquals(first.words(id), again.words(id))
        assertTrue(again.shows(R.id.share) && again.shows(R.id.save))
        assertEquals(2, again.requireViewById<LinearLayout>(R.id.rows).childCount)
    }

    @Test
    fun `memory that the system does not say is null`() {
        val controller = tested()
        assertNull(controller.part("memory_bytes"))
        assertTrue("memory" !in controller.get().words(R.id.times))
    }

    @Test
    fun `the report is shared with the app that the user chooses, and with no other`() {
        val controller = tested()
        val activity = controller.get()
        activity.press(R.id.share)
        val sheet = shadowOf(activity).nextStartedActivity
        assertEquals(Intent.ACTION_CHOOSER, sheet.action)
        @Suppress("DEPRECATION")
        val sent = sheet.getParcelableExtra<Intent>(Intent.EXTRA_INTENT)!!
        assertEquals(Intent.ACTION_SEND to "application/json", sent.action to sent.type)
        assertTrue(sent.flags and Intent.FLAG_GRANT_READ_URI_PERMISSION != 0)
        val uri = sent.clipData!!.getItemAt(0).uri
        @Suppress("DEPRECATION")
        assertEquals(uri, sent.getParcelableExtra<Uri>(Intent.EXTRA_STREAM))
        val text = ByteArrayOutputStream()
        activity.contentResolver.openInputStream(uri)!!.use { it.copyTo(text) }
        assertEquals(controller.report(), text.toString("UTF-8"))
        activity.contentResolver.query(uri, null, null, null, null)!!.use {
            it.moveToFirst()
            assertEquals("device-report.json", it.getString(it.getColumnIndexOrThrow(OpenableColumns.DISPLAY_NAME)))
            assertEquals(text.size(), it.getInt(it.getColumnIndexOrThrow(OpenableColumns.SIZE)))
        }
        val guessed = uri.buildUpon().path("/device-report.json").build()
        assertThrows(FileNotFoundException::class.java) { activity.contentResolver.openInputStream(guessed) }
        assertThrows(FileNotFoundException::class.java) { activity.contentResolver.openOutputStream(uri) }
    }

    @Test
    fun `the report is saved where the user says`() {
        val controller = tested()
        val activity = controller.get()
        val (target, text) = Uri.parse("content://files/1") to ByteArrayOutputStream()
        shadowOf(activity.contentResolver).registerOutputStream(target, text)
        activity.press(R.id.save)
        val request = shadowOf(activity).nextStartedActivityForResult.intent
        assertEquals("device-report.json", request.getStringExtra(Intent.EXTRA_TITLE))
        shadowOf(activity).receiveResult(request, Activity.RESULT_OK, Intent().setData(target))
        until { activity.words(R.id.verdict) == "The report is saved." }
        assertEquals(controller.report(), text.toString("UTF-8"))
    }

    /** The screen after the GPU was chosen, whose delegate is made so. */
    private fun onGpu(delegate: () -> Delegate?): ActivityController<SelfTestActivity> {
        lesionApp.gpu = delegate
        val controller = opened(SelfTestActivity::class.java)
        val activity = controller.get()
        until { activity.requireViewById<View>(R.id.gpu).isEnabled && activity.isChecked(R.id.cpu) }
        activity.press(R.id.gpu)
        until { activity.requireViewById<View>(R.id.gpu).isEnabled }
        return controller
    }

    @Test
    fun `the GPU is offered where the app has its library`() {
        assertEquals(gpuDelegate != null, opened(SelfTestActivity::class.java).get().shows(R.id.accelerators))
    }

    /** NNAPI is not on this machine, so its delegate leaves all to the CPU: an accelerator that agrees. */
    @Test
    fun `a GPU that agrees computes, and stands in the report`() {
        val controller = onGpu { NnApiDelegate() }
        val activity = controller.get()
        assertTrue(activity.words(R.id.chosen), activity.words(R.id.chosen).startsWith("The GPU gives what the CPU gives"))
        assertTrue(activity.isChecked(R.id.gpu))
        run(activity)
        assertEquals("gpu", (controller.part("runtime") as Map<*, *>)["accelerator"])
        assertTrue(activity.words(R.id.times).contains("on the GPU"))
        picture(activity, "self-test-gpu")
        activity.press(R.id.cpu)
        until { activity.words(R.id.chosen) == "The CPU computes." }
        run(activity)
        until { (controller.part("runtime") as Map<*, *>)["accelerator"] == "cpu" }
    }

    /** The first screen says so too, until the user has chosen again. */
    @Test
    fun `a GPU that failed is said no longer once the CPU is chosen`() {
        val activity = onGpu { NnApiDelegate() }.get()
        assertTrue(activity.isChecked(R.id.gpu))
        failing()
        assertEquals("driver lost", lesionApp.lost)
        activity.press(R.id.cpu)
        until { activity.words(R.id.chosen) == "The CPU computes." }
        assertNull(lesionApp.lost)
    }

    /** A computation that fails on the GPU and is done again on the CPU; on the worker, as the screens do. */
    private fun failing() {
        var done = false
        val screen = opened(MainActivity::class.java).get()
        lesionApp.compute(screen, { lesionApp.computed { if (it.accelerator == GPU) error("driver lost") } }, { error(it) }) { done = true }
        until { done }
    }

    @Test
    fun `where the GPU cannot be used the CPU computes, and it is said`() {
        val failures = mapOf<() -> Delegate?, String>(
            { null } to "The GPU of this phone is not known to be safe", { error("no driver") } to "The GPU failed (no driver)",
            { throw UnsatisfiedLinkError("no library") } to "The GPU failed (no library)",
        )
        for ((delegate, words) in failures) {
            val controller = onGpu(delegate)
            val said = controller.get().words(R.id.chosen)
            assertTrue(said, said.startsWith(words) && said.endsWith("The CPU computes."))
            assertTrue(controller.get().isChecked(R.id.cpu))
            run(controller.get())
            assertEquals("cpu", (controller.part("runtime") as Map<*, *>)["accelerator"])
        }
    }
}
