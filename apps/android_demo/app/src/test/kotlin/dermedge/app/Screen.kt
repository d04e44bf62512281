// What tests of screens share: they are opened on Android's framework, used, and drawn.
package dermedge.app

import android.app.Activity
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.CompoundButton
import android.widget.LinearLayout
import android.widget.TextView
import org.junit.Assert.assertTrue
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.shadows.ShadowLooper
import java.io.File

private const val PATIENCE_MS = 120_000L
private val PHOTO = Uri.parse("content://photos/1")
const val PHONE = "en-w360dp-h960dp-xhdpi"
val OUT = File(System.getProperty("dermedge.out")!!)
val PHOTOS = File(System.getProperty("dermedge.photos")!!)
val FRAMES = File(PHOTOS, "frames")
val lesionApp get() = RuntimeEnvironment.getApplication() as LesionApp

fun <A : Activity> opened(screen: Class<A>, state: Bundle? = null): ActivityController<A> =
    Robolectric.buildActivity(screen).let { if (state == null) it.setup() else it.setup(state) }

fun until(good: () -> Boolean) {
    val end = System.currentTimeMillis() + PATIENCE_MS
    while (!good()) {
        assertTrue("too late", System.currentTimeMillis() < end)
        Thread.sleep(50)
        ShadowLooper.idleMainLooper()
    }
}

fun Activity.words(id: Int) = requireViewById<TextView>(id).text.toString()

fun Activity.shows(id: Int) = requireViewById<View>(id).visibility == View.VISIBLE

fun Activity.press(id: Int) = requireViewById<Button>(id).performClick()

fun Activity.isChecked(id: Int) = requireViewById<CompoundButton>(id).isChecked

fun ActivityController<*>.saved(): Bundle = Bundle().also { saveInstanceState(it) }

fun chosen(activity: Activity, photo: ByteArray) {
    shadowOf(activity.contentResolver).registerInputStream(PHOTO, photo.inputStream())
    activity.press(R.id.choose)
    val request = shadowOf(activity).nextStartedActivityForResult.intent
    shadowOf(activity).receiveResult(request, Activity.RESULT_OK, Intent().setData(PHOTO))
}

/** The first screen with an answer for a photograph; drawn as [name]. */
fun answered(name: String, photo: ByteArray = File(PHOTOS, "photo.jpg").readBytes()): ActivityController<MainActivity> {
    val controller = opened(MainActivity::class.java)
    val activity = controller.get()
    until { activity.requireViewById<View>(R.id.choose).isEnabled }
    chosen(activity, photo)
    until { activity.shows(R.id.result) }
    ShadowLooper.idleMainLooper()
    picture(activity, name)
    return controller
}

/** The self-test's screen after a run. */
fun tested(): ActivityController<SelfTestActivity> {
    val controller = opened(SelfTestActivity::class.java)
    run(controller.get())
    return controller
}

fun run(activity: SelfTestActivity) {
    activity.press(R.id.run)
    until { activity.shows(R.id.share) && activity.words(R.id.seen) != "" }
}

fun probabilities(activity: Activity): Map<String, Double> {
    val lines = activity.requireViewById<LinearLayout>(R.id.ranked)
    return (0 until lines.childCount).mapNotNull { lines.getChildAt(it).tag as? Pair<*, *> }.associate { (code, p) -> code as String to p as Double }
}

/** What is on a screen, as a PNG. */
fun picture(activity: Activity, name: String) {
    ShadowLooper.idleMainLooper() // what has changed is laid out
    val view = activity.window.decorView.apply { jumpDrawablesToCurrentState() } // not half-way through an animation
    val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    view.draw(Canvas(bitmap))
    File(OUT, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
}
