package dermedge.app

import android.content.res.Configuration
import android.os.Build
import android.view.View
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.Spinner
import dermedge.core.Check
import dermedge.core.Reason
import dermedge.core.Refused
import dermedge.core.inMemory
import dermedge.core.sha256
import dermedge.core.writeJson
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File
import java.nio.ByteBuffer

/** Every screen on the real framework, with the model of the assets in the phone's own library. */
@RunWith(RobolectricTestRunner::class)
@Config(qualifiers = PHONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreensTest {
    @Test
    fun `a photograph is answered, also after the process has died`() {
        val controller = answered("answer")
        val first = probabilities(controller.get())
        File(OUT, "answer.json").writeText(writeJson(mapOf("api" to Build.VERSION.SDK_INT, "probabilities" to first)))
        val state = controller.saved()
        controller.pause().stop().destroy()
        val again = opened(MainActivity::class.java, state).get()
        until { again.shows(R.id.result) }
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
        val state = controller.saved()
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
    fun `the phone is turned, and the answer stays`() {
        val controller = answered("before-turning")
        val first = probabilities(controller.get())
        RuntimeEnvironment.setQualifiers("+land")
        controller.configurationChange(lesionApp.resources.configuration)
        val turned = controller.get()
        until { turned.shows(R.id.result) && turned.shows(R.id.square) }
        assertEquals(first, probabilities(turned))
        assertEquals(Configuration.ORIENTATION_LANDSCAPE, turned.resources.configuration.orientation)
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
    fun `every reason has a sentence`() {
        for (reason in Reason.values()) assertTrue(lesionApp.sentence(Refused(reason, "a", "b", "c")).length > 10)
        for (check in Check.values()) assertTrue(lesionApp.advice(check).length > 10)
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
