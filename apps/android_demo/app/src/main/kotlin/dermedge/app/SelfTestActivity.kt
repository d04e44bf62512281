package dermedge.app

import android.app.Activity
import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.os.Debug
import android.view.View
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import dermedge.core.Device
import dermedge.core.SelfTestResult
import dermedge.core.deviceReport
import dermedge.infer.selfTest
import java.nio.ByteBuffer
import java.util.Locale

private const val SAVE = 1
private const val REPORT = "report"
private const val KILOBYTE = 1024L

/** Runs the self-test that the model brings along, and saves what this phone answered. */
class SelfTestActivity : Activity() {
    private var report: String? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.self_test)
        report = state?.getString(REPORT)
        findViewById<View>(R.id.save).visibility = if (report == null) View.GONE else View.VISIBLE
        findViewById<Button>(R.id.run).setOnClickListener { run() }
        findViewById<Button>(R.id.save).setOnClickListener {
            val request = Intent(Intent.ACTION_CREATE_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("application/json")
            startActivityForResult(request.putExtra(Intent.EXTRA_TITLE, "device-report.json"), SAVE)
        }
    }

    private fun verdict(words: String) {
        findViewById<TextView>(R.id.verdict).text = words
    }

    private fun run() {
        verdict(getString(R.string.computing))
        app.compute(
            this,
            {
                val model = app.model()
                val result = selfTest(model, { decoded(ByteBuffer.wrap(it)) }, { Debug.getPss() * KILOBYTE })
                result to deviceReport(model.manifest.file, result, Device("${Build.MANUFACTURER} ${Build.MODEL}", system()), app.runtime)
            },
            ::verdict,
        ) { (result, text) -> show(result, text) }
    }

    private fun system() = "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT}), ${Build.SUPPORTED_ABIS.first()}"

    private fun show(result: SelfTestResult, text: String) {
        report = text
        verdict(
            if (result.failed.isEmpty()) getString(R.string.passed, small(result.delta)) else getString(R.string.failed, result.failed.joinToString()),
        )
        val times = result.times
        findViewById<TextView>(R.id.times).text = getString(
            R.string.times, short(times.median), short(times.p90), short(times.first), short(times.load), (result.memoryBytes shr 20).toString(),
        )
        app.compute(this, { app.runtime.isSeenRight(app.model().manifest.file) }, ::verdict) { seen ->
            val runtime = "${app.runtime.library} ${app.runtime.version}"
            findViewById<TextView>(R.id.seen).text = getString(if (seen) R.string.seen else R.string.unseen, runtime)
        }
        val place = findViewById<LinearLayout>(R.id.rows)
        place.removeAllViews()
        for (row in result.rows) {
            val line = TextView(this, null, 0, R.style.Text)
            line.text = getString(R.string.row, row.test.image, list(row.test.expected), list(row.obtained), small(row.delta))
            place.addView(line)
        }
        findViewById<View>(R.id.save).visibility = View.VISIBLE
    }

    private fun short(milliseconds: Double) = String.format(Locale.getDefault(), "%.1f", milliseconds)

    private fun small(delta: Double) = String.format(Locale.getDefault(), "%.1e", delta)

    private fun list(numbers: DoubleArray) = numbers.joinToString(" ") { String.format(Locale.getDefault(), "%.4f", it) }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        super.onActivityResult(request, result, data)
        val uri = data?.data ?: return
        val text = report ?: return
        if (request != SAVE || result != RESULT_OK) return
        app.compute(this, { contentResolver.openOutputStream(uri, "wt")!!.use { it.write(text.toByteArray()) } }, ::verdict) {
            verdict(getString(R.string.saved))
        }
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(REPORT, report)
    }
}
