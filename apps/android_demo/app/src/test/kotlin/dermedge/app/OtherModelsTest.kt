package dermedge.app

import android.graphics.drawable.BitmapDrawable
import android.view.View
import android.widget.ImageView
import dermedge.core.BundleFiles
import dermedge.core.writeJson
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File

/** Other bundles in the same app: one with a mask and thresholds, and those that are refused. */
@RunWith(RobolectricTestRunner::class)
@Config(qualifiers = PHONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class OtherModelsTest {
    private fun take(folder: String) {
        lesionApp.files = BundleFiles { name -> File(PHOTOS, "$folder/$name").takeIf { it.isFile }?.readBytes() }
    }

    @Test
    fun `a mask is drawn over the square, and said`() {
        take("masked")
        val screen = answered("masked", File(PHOTOS, "masked/self_test_0.png").readBytes()).get()
        val square = screen.requireViewById<ImageView>(R.id.square)
        assertEquals("The square that the model sees; the lesion that it finds is blue", square.contentDescription)
        val shown = (square.drawable as BitmapDrawable).bitmap
        val colours = IntArray(shown.width * shown.height).also { shown.getPixels(it, 0, shown.width, 0, 0, shown.width, shown.height) }
        val rgb = colours.flatMap { listOf(it shr 16 and 0xff, it shr 8 and 0xff, it and 0xff) }
        File(OUT, "masked.json").writeText(writeJson(mapOf("rgb" to rgb, "probabilities" to probabilities(screen))))
        assertFalse(screen.shows(R.id.questions))
        val controller = tested()
        assertTrue(controller.get().words(R.id.verdict).startsWith("Passed"))
        File(OUT, "masked-report.json").writeText(controller.saved().getString("report")!!)
    }

    @Test
    fun `a picture that is too dark is to be taken again, without probabilities`() {
        take("masked")
        val screen = answered("retake", File(PHOTOS, "masked/dark.png").readBytes()).get()
        assertEquals("Please take another picture: too dark: find more light", screen.words(R.id.outcome))
        assertFalse(screen.shows(R.id.ranked) || screen.shows(R.id.meaning) || screen.shows(R.id.effects))
        assertEquals("The square that the model sees", screen.requireViewById<ImageView>(R.id.square).contentDescription) // without a mask
    }

    @Test
    fun `a bundle that is not good is refused with a sentence`() {
        val refused = mapOf(
            "nothing" to "The app has no model.", "other-schema" to "The model's manifest is dermedge/manifest/9",
            "damaged" to "The model's manifest is damaged", "no-file" to "The bundle has no painted-fp32.tflite.",
            "changed" to "painted-fp32.tflite is not the file of the manifest.",
            "newer" to "painted-fp32.tflite opens from LiteRT / TFLite 2.99 on",
        )
        for ((folder, words) in refused) {
            take("refused/$folder")
            val screen = opened(MainActivity::class.java).get()
            until { screen.words(R.id.status) != screen.getString(R.string.loading) }
            assertTrue("$folder: ${screen.words(R.id.status)}", screen.words(R.id.status).startsWith(words))
            assertFalse(screen.requireViewById<View>(R.id.choose).isEnabled)
            if (folder == "other-schema") picture(screen, "refused")
        }
    }
}
