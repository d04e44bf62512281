package dermedge.app

import android.Manifest
import android.app.Activity
import android.content.Context
import android.content.Intent
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.view.View
import android.widget.Button
import android.widget.ImageView
import dermedge.core.parseJson
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.ShadowDisplay
import org.robolectric.shadows.ShadowLooper
import java.io.File

/** The camera's screen: frames of Camera2's own class, of bytes that Python wrote. No camera is here to make them. */
@RunWith(RobolectricTestRunner::class)
@Config(qualifiers = PHONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class CameraScreenTest {
    private fun addCamera(orientation: Int, facing: Int = CameraCharacteristics.LENS_FACING_BACK) {
        val facts = ShadowCameraCharacteristics.newCameraCharacteristics()
        with(shadowOf(facts)) {
            set(CameraCharacteristics.SENSOR_ORIENTATION, orientation)
            set(CameraCharacteristics.LENS_FACING, facing)
            set(CameraCharacteristics.FLASH_INFO_AVAILABLE, true)
        }
        shadowOf(lesionApp.getSystemService(Context.CAMERA_SERVICE) as CameraManager).addCamera("0", facts)
        shadowOf(lesionApp).grantPermissions(Manifest.permission.CAMERA)
    }

    private fun open(): CameraActivity = opened(CameraActivity::class.java).get().also { until { it.feed != null } }

    private fun CameraActivity.square(): ByteArray {
        press(R.id.take)
        return lesionApp.taken!!
    }

    @Test
    fun `frames become the bytes that Python makes of them`() {
        val cases = (parseJson(File(FRAMES, "frames.json").readText()) as Map<*, *>)["frames"] as List<*>
        for (case in cases.map { it as Map<*, *> }) {
            val front = case["front"] == true
            addCamera(case.int("sensor"), if (front) CameraCharacteristics.LENS_FACING_FRONT else CameraCharacteristics.LENS_FACING_BACK)
            ShadowDisplay.getDefaultDisplay().let { shadowOf(it).setRotation(case.int("screen")) }
            val screen = open()
            screen.feed!!.pass(Frame(case, FRAMES))
            until { screen.requireViewById<View>(R.id.take).isEnabled }
            assertArrayEquals("$case", File(FRAMES, case["expected"] as String).readBytes(), screen.square())
            shadowOf(lesionApp.getSystemService(Context.CAMERA_SERVICE) as CameraManager).removeCamera("0")
        }
        assertTrue(cases.size >= 8)
    }

    @Test
    fun `a frame of a colour space that the contract does not have is refused in words`() {
        addCamera(90)
        val screen = open()
        val case = ((parseJson(File(FRAMES, "frames.json").readText()) as Map<*, *>)["refused"] as List<*>).single() as Map<*, *>
        screen.feed!!.pass(Frame(case, FRAMES))
        until { "standard" in screen.words(R.id.hint) }
        assertFalse(screen.requireViewById<Button>(R.id.take).isEnabled)
    }

    @Test
    fun `the light, the hint, and the picture for the first screen`() {
        addCamera(90)
        val first = opened(MainActivity::class.java).get()
        until { first.requireViewById<View>(R.id.camera).isEnabled }
        first.press(R.id.camera)
        assertEquals(CameraActivity::class.java.name, shadowOf(first).peekNextStartedActivityForResult().intent.component!!.className)
        val screen = open()
        assertEquals("Turn the light on", screen.words(R.id.torch))
        screen.press(R.id.torch)
        assertEquals("Turn the light off" to true, screen.words(R.id.torch) to screen.feed!!.torch)
        val frame = (parseJson(File(FRAMES, "frames.json").readText()) as Map<*, *>)["shown"] as Map<*, *>
        screen.feed!!.pass(Frame(frame, FRAMES))
        until { screen.words(R.id.hint) != "" && screen.requireViewById<View>(R.id.take).isEnabled }
        assertNotNull(screen.requireViewById<ImageView>(R.id.preview).drawable)
        screen.press(R.id.take)
        assertTrue(screen.isFinishing)
        val request = shadowOf(first).nextStartedActivityForResult.intent
        shadowOf(first).receiveResult(request, Activity.RESULT_OK, Intent())
        until { first.shows(R.id.result) }
        ShadowLooper.idleMainLooper()
        assertEquals(null, lesionApp.taken)
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
        picture(refused, "camera-refused")
    }

    @Test
    fun `a camera that another app takes away is said`() {
        addCamera(90)
        val screen = open()
        until {
            shadowOf(screen.getSystemService(Context.CAMERA_SERVICE) as CameraManager).triggerDisconnect()
            screen.words(R.id.hint).startsWith("The camera cannot be used (disconnected)")
        }
    }
}
