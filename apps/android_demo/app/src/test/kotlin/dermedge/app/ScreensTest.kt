package dermedge.app

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.Spinner
import android.widget.TextView
import dermedge.core.Refused
import dermedge.core.inMemory
import dermedge.core.sha256
import dermedge.core.writeJson
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowLooper
import java.io.File
import java.nio.ByteBuffer

private const val PATIENCE_MS = 300_000L
private val OUT = File(System.getProperty("dermedge.out")!!)
private val PHOTOS = File(System.getProperty("dermedge.photos")!!)
private val PHOTO = Uri.parse("content://photos/1")

/** Every screen on the real framework, with the model of the assets in the phone's own library. */
@RunWith(RobolectricTestRunner::class)
@Config(qualifiers = "en-w360dp-h960dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreensTest {
    private fun <A : Activity> opened(screen: Class<A>, state: Bundle? = null): ActivityController<A> =
        Robolectric.buildActivity(screen).let { if (state == null) it.setup() else it.setup(state) }

    private fun until(good: () -> Boolean) {
        val end = System.currentTimeMillis() + PATIENCE_MS
        while (!good()) {
            assertTrue("too late", System.currentTimeMillis() < end)
            Thread.sleep(50)
            ShadowLooper.idleMainLooper()
        }
    }

    private fun Activity.words(id: Int) = requireViewById<TextView>(id).text.toString()

    private fun Activity.isReady() = requireViewById<Button>(R.id.choose).isEnabled

    private fun chosen(activity: Activity, photo: ByteArray) {
        shadowOf(activity.contentResolver).registerInputStream(PHOTO, photo.inputStream())
        press(activity, R.id.choose)
        val request = shadowOf(activity).nextStartedActivityForResult.intent
        shadowOf(activity).receiveResult(request, Activity.RESULT_OK, Intent().setData(PHOTO))
    }

    private fun press(activity: Activity, id: Int) = activity.requireViewById<Button>(id).performClick()

    private fun probabilities(activity: Activity): Map<String, Double> {
        val lines = activity.requireViewById<LinearLayout>(R.id.ranked)
        return (0 until lines.childCount).mapNotNull { lines.getChildAt(it).tag as? Pair<*, *> }.associate { (code, p) -> code as String to p as Double }
    }

    /** What is on a screen, as a PNG. */
    private fun picture(activity: Activity, name: String) {
        val view = activity.window.decorView
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(bitmap))
        File(OUT, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }

    private fun answered(name: String, photo: ByteArray = File(PHOTOS, "photo.jpg").readBytes()): ActivityController<MainActivity> {
        val controller = opened(MainActivity::class.java)
        val activity = controller.get()
        until { activity.isReady() }
        chosen(activity, photo)
        until { activity.requireViewById<View>(R.id.result).visibility == View.VISIBLE }
        ShadowLooper.idleMainLooper()
        picture(activity, name)
        return controller
    }

    @Test
    fun `a photograph is answered, also after the process has died`() {
        val controller = answered("answer")
        val first = probabilities(controller.get())
        File(OUT, "answer.json").writeText(writeJson(mapOf("api" to Build.VERSION.SDK_INT, "probabilities" to first)))
        val state = Bundle()
        controller.saveInstanceState(state)
        controller.pause().stop().destroy()
        val again = opened(MainActivity::class.java, state).get()
        until { again.requireViewById<View>(R.id.result).visibility == View.VISIBLE }
        assertEquals(first, probabilities(again))
    }

    @Test
    fun `answers change what is said, and are kept`() {
        val controller = answered("questions-open")
        val place = controller.get().requireViewById<LinearLayout>(R.id.questions)
        assumeTrue("the model asks nothing", place.visibility == View.VISIBLE)
        place.findViewWithTag<EditText>("age").setText("54")
        for ((id, words) in mapOf("region" to "nose", "itches" to "yes", "grew" to "no")) {
            val list = place.findViewWithTag<Spinner>(id)
            list.setSelection((0 until list.count).first { list.getItemAtPosition(it) == words })
        }
        until { controller.get().words(R.id.effects).lines().size == 4 }
        val first = probabilities(controller.get())
        File(OUT, "answered.json").writeText(writeJson(first))
        picture(controller.get(), "questions")
        val state = Bundle()
        controller.saveInstanceState(state)
        val again = opened(MainActivity::class.java, state).get()
        until { again.words(R.id.effects).lines().size == 4 }
        assertEquals(first, probabilities(again))
    }

    @Test
    fun `a file that is no photograph takes the last answer away`() {
        val activity = answered("answer-before").get()
        chosen(activity, "<html>not found</html>".toByteArray())
        until { activity.words(R.id.status).startsWith("This is neither") }
        assertEquals(View.GONE, activity.requireViewById<View>(R.id.result).visibility)
    }

    @Test
    fun `the self-test passes and gives a report`() {
        val controller = opened(SelfTestActivity::class.java)
        press(controller.get(), R.id.run)
        until { controller.get().requireViewById<View>(R.id.save).visibility == View.VISIBLE && controller.get().words(R.id.seen) != "" }
        assertTrue(controller.get().words(R.id.verdict), controller.get().words(R.id.verdict).startsWith("Passed"))
        picture(controller.get(), "self-test")
        val state = Bundle()
        controller.saveInstanceState(state)
        File(OUT, "device-report.json").writeText(state.getString("report")!!)
    }

    @Test
    fun `no camera, and a camera that may not be used, are said`() {
        val none = opened(CameraActivity::class.java).get()
        until { none.words(R.id.hint) != "" }
        assertTrue(none.words(R.id.hint).startsWith("This phone has no camera"))
        assertFalse(none.requireViewById<Button>(R.id.take).isEnabled)
        val system = shadowOf(RuntimeEnvironment.getApplication().packageManager)
        system.setSystemFeature("android.hardware.camera.any", true)
        val refused = opened(CameraActivity::class.java).get()
        until { shadowOf(refused).lastRequestedPermission != null }
        assertEquals(listOf(Manifest.permission.CAMERA), shadowOf(refused).lastRequestedPermission.requestedPermissions.toList())
        refused.onRequestPermissionsResult(1, arrayOf(Manifest.permission.CAMERA), intArrayOf(-1))
        assertTrue(refused.words(R.id.hint).startsWith("The camera may not be used"))
    }

    @Test
    @Config(qualifiers = "de-w360dp-h960dp-night-xhdpi")
    fun `dark and German`() {
        val activity = answered("answer-de-dark").get()
        assertEquals("Für die Forschung, kein Medizinprodukt", activity.words(R.id.notice))
    }

    @Test
    @Config(qualifiers = "en-w320dp-h480dp-hdpi")
    fun `large text on a small phone`() {
        RuntimeEnvironment.setFontScale(1.8f)
        val activity = answered("answer-small").get()
        val notice = activity.requireViewById<TextView>(R.id.notice)
        assertEquals(notice.text.length, notice.layout.getLineEnd(notice.lineCount - 1)) // all of it is on the screen
        assertTrue(notice.height > 0 && notice.bottom <= activity.window.decorView.height)
    }

    @Test
    fun `each file is decoded as in Python, or refused`() {
        val results = PHOTOS.listFiles()!!.filter { it.isFile }.sortedBy { it.name }.associate { file ->
            file.name to try {
                val picture = decoded(ByteBuffer.wrap(file.readBytes()))
                val rgb = picture.inMemory().rgb
                File(OUT, "${file.name}.rgb").writeBytes(rgb)
                mapOf("width" to picture.width, "height" to picture.height, "sha256" to sha256(rgb))
            } catch (refused: Refused) {
                mapOf("refused" to refused.reason.name)
            }
        }
        File(OUT, "decoded.json").writeText(writeJson(results))
    }

    @Test
    fun `every word is there in German`() {
        RuntimeEnvironment.setQualifiers("de")
        val german = R.string::class.java.fields.associate { it.name to RuntimeEnvironment.getApplication().getString(it.getInt(null)) }
        RuntimeEnvironment.setQualifiers("en")
        val same = R.string::class.java.fields.filter { german[it.name] == RuntimeEnvironment.getApplication().getString(it.getInt(null)) }
        assertEquals(setOf("ranked", "runtime_library", "runtime_version"), same.map { it.name }.toSet())
    }
}
