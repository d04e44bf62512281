package dermedge.app

import android.Manifest
import android.app.Activity
import android.view.View
import android.view.ViewGroup
import android.widget.AdapterView
import android.widget.EditText
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.tensorflow.lite.nnapi.NnApiDelegate

private const val TOUCH_DP = 48

/** What TalkBack says of each screen, in its own data: every control and picture has words, and can be hit by a finger. */
@RunWith(RobolectricTestRunner::class)
@Config(qualifiers = PHONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class AccessibilityTest {
    private fun views(view: View): List<View> {
        val group = (view as? ViewGroup)?.takeIf { it !is AdapterView<*> } // a list is one control
        return listOf(view) + (0 until (group?.childCount ?: 0)).flatMap { views(group!!.getChildAt(it)) }
    }

    /** The words that a screen reader has for a view: its own, or those of the text that labels it. */
    private fun words(view: View, all: List<View>): String {
        val label = all.filterIsInstance<TextView>().firstOrNull { it.labelFor == view.id && view.id != View.NO_ID }
        val own = (view as? TextView)?.text?.takeIf { view !is EditText }
        return listOfNotNull(view.contentDescription, own, label?.text).joinToString(" ").trim()
    }

    private fun check(activity: Activity, least: Int) {
        val all = views(activity.requireViewById(android.R.id.content)).filter { it.isShown }
        val density = activity.resources.displayMetrics.density
        val used = all.filter { it.isClickable || it.isLongClickable || it is ImageView || it is EditText }
        assertTrue("${used.size} controls", used.size >= least)
        for (view in used) {
            val name = runCatching { activity.resources.getResourceEntryName(view.id) }.getOrDefault(view.javaClass.simpleName)
            assertTrue("$name has no words", words(view, all).length > 1)
            if (view.isClickable) assertTrue("$name is ${view.height / density} dp high", view.height >= TOUCH_DP * density - 1)
            assertTrue("$name is hidden from TalkBack", view.isImportantForAccessibility)
        }
        val headings = all.filter { it is TextView && it.isAccessibilityHeading }
        assertTrue(headings.isNotEmpty() || activity is CameraActivity)
        assertTrue(all.any { it.id == R.id.notice })
    }

    private fun checkAll() {
        val main = answered("talkback").get()
        val asked = main.requireViewById<LinearLayout>(R.id.questions).let { if (it.visibility == View.VISIBLE) it.childCount / 2 else 0 }
        check(main, least = 4 + asked)
        assertEquals(View.ACCESSIBILITY_LIVE_REGION_POLITE, main.requireViewById<View>(R.id.outcome).accessibilityLiveRegion)
        lesionApp.gpu = { NnApiDelegate() }
        check(tested().get(), least = 5)
        shadowOf(lesionApp).grantPermissions(Manifest.permission.CAMERA)
        check(opened(CameraActivity::class.java).get().also { screen -> until { screen.words(R.id.hint) != "" } }, least = 2)
    }

    @Test
    fun `every control has words`() = checkAll()

    @Test
    @Config(qualifiers = "de-w320dp-h480dp-hdpi")
    fun `in German on a small phone, too`() = checkAll()
}
