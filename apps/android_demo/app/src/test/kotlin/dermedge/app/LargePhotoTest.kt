package dermedge.app

import android.net.Uri
import dermedge.core.modelInput
import dermedge.core.sha256
import dermedge.core.writeJson
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import java.io.File

private const val SIDE = 224

/** Photographs as phones' largest sensors make them, in a heap of 256 MB, which run_screens.py gives this test. */
@RunWith(RobolectricTestRunner::class)
@Config(qualifiers = PHONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class LargePhotoTest {
    @Test
    fun `the square of a large photograph`() {
        assertTrue("${Runtime.getRuntime().maxMemory()} bytes", Runtime.getRuntime().maxMemory() <= 256L shl 20)
        val resolver = lesionApp.contentResolver
        val squares = File(PHOTOS, "large").listFiles()!!.sortedBy { it.name }.associate { file ->
            val uri = Uri.parse("content://photos/${file.name}")
            shadowOf(resolver).registerInputStream(uri, file.inputStream())
            file.name to sha256(modelInput(readPhoto(resolver, uri, lesionApp.cacheDir), SIDE))
        }
        assertTrue(squares.isNotEmpty() && lesionApp.cacheDir.listFiles()!!.isEmpty())
        File(OUT, "large.json").writeText(writeJson(squares))
    }
}
