package dermedge.app

import android.Manifest
import android.app.Activity
import android.content.pm.PackageManager
import android.os.Bundle
import android.os.SystemClock
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView
import dermedge.core.failedChecks
import dermedge.core.measure
import dermedge.core.modelInput
import dermedge.core.Manifest as ModelManifest

private const val ASK = 1
private const val HINT_MS = 700L // between two hints, so that they can be read

/** The camera, as the model sees it: each frame becomes the model's own square, which is what is shown and taken. */
class CameraActivity : Activity() {
    internal var feed: CameraFeed? = null
        private set
    private var model: ModelManifest? = null
    private var latest: ByteArray? = null
    private var hintedAt = -HINT_MS
    private var asked = false

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.camera)
        findViewById<Button>(R.id.take).setOnClickListener {
            app.taken = latest
            setResult(if (latest == null) RESULT_CANCELED else RESULT_OK)
            finish()
        }
        findViewById<Button>(R.id.torch).setOnClickListener {
            feed?.toggleTorch()
            nameTorch()
        }
        app.compute(this, { app.model().manifest }, ::hint) {
            model = it
            if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) open() else ask()
        }
    }

    private fun ask() {
        if (!packageManager.hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY)) return hint(getString(R.string.no_camera))
        if (!asked) requestPermissions(arrayOf(Manifest.permission.CAMERA), ASK)
        asked = true
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<String>, results: IntArray) {
        if (results.firstOrNull() == PackageManager.PERMISSION_GRANTED) open() else hint(getString(R.string.refused_camera))
    }

    private fun hint(words: String) {
        findViewById<TextView>(R.id.hint).text = words
    }

    private fun open() {
        val side = model?.side ?: return
        if (feed != null || isFinishing) return
        feed = CameraFeed(this, side, { squared ->
            val square = modelInput(squared, side)
            runOnUiThread { if (feed != null) show(square) }
        }) { fault ->
            runOnUiThread { hint(fault?.let { getString(R.string.failed_camera, it) } ?: getString(R.string.no_camera)) }
        }.apply { start() }
        findViewById<View>(R.id.torch).visibility = if (feed?.hasTorch == true) View.VISIBLE else View.GONE
        nameTorch()
    }

    /** What pressing the button does now; it is off each time the camera opens. */
    private fun nameTorch() {
        findViewById<Button>(R.id.torch).setText(if (feed?.torch == true) R.string.torch_off else R.string.torch_on)
    }

    private fun show(square: ByteArray) {
        val manifest = model ?: return
        latest = square
        findViewById<ImageView>(R.id.preview).setImageBitmap(bitmapOf(square, manifest.side, null, 1.0))
        findViewById<View>(R.id.take).isEnabled = true
        val now = SystemClock.elapsedRealtime()
        if (now - hintedAt < HINT_MS) return
        hintedAt = now
        val failed = manifest.decision?.let { failedChecks(measure(square, manifest.side), it.limits) }.orEmpty()
        hint(failed.firstOrNull()?.let { advice(it) } ?: getString(R.string.good))
    }

    override fun onResume() {
        super.onResume()
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) open()
    }

    override fun onPause() {
        super.onPause()
        feed?.close()
        feed = null
    }
}
