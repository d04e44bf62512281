package dermedge.app

import android.Manifest
import android.app.Activity
import android.content.Context
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.view.View
import android.view.ViewGroup
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import dermedge.core.parseJson
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.ShadowLooper
import org.tensorflow.lite.nnapi.NnApiDelegate
import java.io.File

private val GERMAN = setOf("dark", "small-de")

/** All screens, light and dark, in both languages, with large text on a small phone: drawn, and no word is cut off. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class EveryScreenTest {
    private fun texts(view: View): List<TextView> = when (view) {
        is TextView -> listOf(view)
        is ViewGroup -> (0 until view.childCount).flatMap { texts(view.getChildAt(it)) }
        else -> emptyList()
    }

    private fun draw(activity: Activity, name: String, notice: String) {
        ShadowLooper.idleMainLooper()
        assertEquals(notice, activity.words(R.id.notice))
        for (text in texts(activity.requireViewById(android.R.id.content)).filter { it.isShown && it.text.isNotEmpty() }) {
            val layout = text.layout
            assertTrue("${text.text}: cut off below", layout.height + text.totalPaddingTop + text.totalPaddingBottom <= text.height)
            for (line in 0 until layout.lineCount) {
                assertEquals("${text.text}: shortened", 0, layout.getEllipsisCount(line))
                assertTrue("${text.text}: cut off at the right", layout.getLineMax(line) <= layout.width + 1)
            }
        }
        picture(activity, name)
    }

    private fun drawAll(variant: String, notice: String) {
        val first = opened(MainActivity::class.java).get()
        until { first.requireViewById<View>(R.id.choose).isEnabled }
        draw(first, "start-$variant", notice)
        val main = answered("answer-$variant").get()
        draw(main, "answer-$variant", notice)
        val questions = main.requireViewById<LinearLayout>(R.id.questions)
        if (questions.visibility == View.VISIBLE) {
            val years = if (variant in GERMAN) "(Jahre)" else "(years)"
            assertTrue("no $years", texts(questions).any { years in it.text })
            (questions.parent.parent as ScrollView).scrollTo(0, questions.top)
            draw(main, "questions-$variant", notice)
        }
        lesionApp.gpu = { NnApiDelegate() }
        draw(tested().get(), "self-test-$variant", notice)
        shadowOf(lesionApp).grantPermissions(Manifest.permission.CAMERA)
        val none = opened(CameraActivity::class.java).get()
        until { none.words(R.id.hint) != "" }
        draw(none, "no-camera-$variant", notice)
        val facts = ShadowCameraCharacteristics.newCameraCharacteristics()
        shadowOf(facts).set(CameraCharacteristics.FLASH_INFO_AVAILABLE, true)
        shadowOf(lesionApp.getSystemService(Context.CAMERA_SERVICE) as CameraManager).addCamera("0", facts)
        val camera = opened(CameraActivity::class.java).get()
        until { camera.feed != null }
        val frame = (parseJson(File(FRAMES, "frames.json").readText()) as Map<*, *>)["shown"] as Map<*, *>
        camera.feed!!.pass(Frame(frame, FRAMES))
        until { camera.words(R.id.hint) != "" }
        draw(camera, "camera-$variant", notice)
    }

    @Test
    @Config(qualifiers = "en-w360dp-h800dp-xhdpi")
    fun `light and English`() = drawAll("light", "Research use, not a medical device")

    @Test
    @Config(qualifiers = "de-w360dp-h800dp-night-xhdpi")
    fun `dark and German`() = drawAll("dark", "Für die Forschung, kein Medizinprodukt")

    @Test
    @Config(qualifiers = "en-w320dp-h480dp-hdpi")
    fun `large text on a small phone`() {
        RuntimeEnvironment.setFontScale(1.8f)
        drawAll("small", "Research use, not a medical device")
    }

    @Test
    @Config(qualifiers = "de-w320dp-h480dp-hdpi")
    fun `German on a small phone with large text`() {
        RuntimeEnvironment.setFontScale(1.8f)
        drawAll("small-de", "Für die Forschung, kein Medizinprodukt")
    }
}
