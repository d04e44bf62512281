package dermedge.app

import android.app.Activity
import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.os.Debug
import android.view.View
import android.widget.Button
import android.widget.LinearLayout
import android.widget.RadioGroup
import android.widget.TextView
import dermedge.core.Device
import dermedge.core.SelfTestResult
import dermedge.core.deviceReport
import dermedge.infer.prompts
import dermedge.infer.selfTest
import java.util.Locale

private const val SAVE = 1
private const val REPORT = "report"
private const val ROWS = "rows"
private const val KILOBYTE = 1024L

/** The self-test that the model brings along, on the part of the phone that the user chooses; saves or shares the report. */
class SelfTestActivity : Activity() {
    private var report: String? = null
    private var rows = ArrayList<String>()

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.self_test)
        report = state?.getString(REPORT)
        draw(state?.getStringArrayList(ROWS) ?: ArrayList())
        findViewById<Button>(R.id.run).setOnClickListener { run() }
        findViewById<Button>(R.id.share).setOnClickListener {
            report?.let { startActivity(Intent.createChooser(ReportProvider.share(it), null)) }
        }
        findViewById<Button>(R.id.save).setOnClickListener {
            val request = Intent(Intent.ACTION_CREATE_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("application/json")
            startActivityForResult(request.putExtra(Intent.EXTRA_TITLE, REPORT_NAME), SAVE)
        }
        if (app.gpu != null) {
            findViewById<View>(R.id.accelerators).visibility = View.VISIBLE
            app.compute(this, { app.model().accelerator }, ::verdict) { shown(it, getString(inUse(it))) }
        }
    }

    /** Which part of the phone computes, and why. Choosing has no effect before that is known. */
    private fun shown(accelerator: String, words: String) {
        val group = findViewById<RadioGroup>(R.id.accelerators)
        group.setOnCheckedChangeListener(null)
        group.check(if (accelerator == CPU) R.id.cpu else R.id.gpu)
        enable(true)
        group.setOnCheckedChangeListener { _, id -> choose(id == R.id.gpu) }
        findViewById<TextView>(R.id.chosen).text = words
    }

    private fun enable(on: Boolean) {
        for (id in listOf(R.id.cpu, R.id.gpu, R.id.run)) findViewById<View>(id).isEnabled = on
    }

    private fun choose(gpu: Boolean) {
        enable(false)
        findViewById<TextView>(R.id.chosen).text = getString(R.string.computing)
        app.compute(
            this, { if (gpu) app.computeOnGpu() else app.computeOnCpu() },
            { words -> shown(CPU, words + " " + getString(R.string.cpu_computes)) },
        ) { (if (gpu) GPU else CPU).let { shown(it, getString(inUse(it))) } }
    }

    private fun inUse(accelerator: String) = if (accelerator == CPU) R.string.cpu_computes else R.string.gpu_agrees

    private fun verdict(words: String) {
        findViewById<TextView>(R.id.verdict).text = words
    }

    private fun run() {
        verdict(getString(R.string.computing))
        app.compute(
            this,
            {
                app.computed { model ->
                    val result = selfTest(model, prompts(model, ::decodedTest)) { memoryBytes() }
                    result to deviceReport(model.manifest.file, result, Device("${Build.MANUFACTURER} ${Build.MODEL}", system()), app.runtime)
                }
            },
            ::verdict,
        ) { (result, text) -> show(result, text) }
    }

    /** Null where the system does not say, which gives 0. */
    private fun memoryBytes(): Long? = (Debug.getPss() * KILOBYTE).takeIf { it > 0 }

    private fun system() = "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT}), ${Build.SUPPORTED_ABIS.first()}"

    private fun show(result: SelfTestResult, text: String) {
        report = text
        verdict(
            if (result.failed.isEmpty()) getString(R.string.passed, small(result.delta)) else getString(R.string.failed, result.failed.joinToString()),
        )
        val times = result.times
        findViewById<TextView>(R.id.times).text = listOfNotNull(
            getString(R.string.times, short(times.median), short(times.p90), short(times.first), short(times.load), result.accelerator.uppercase()),
            result.memoryBytes?.let { getString(R.string.memory, (it shr 20).toString()) },
        ).joinToString(" ")
        app.lost?.let { shown(result.accelerator, getString(R.string.refused_accelerator_failed, it)) }
        app.compute(this, { app.runtime.isSeenRight(app.model().manifest.file) }, ::verdict) { seen ->
            val runtime = "${app.runtime.library} ${app.runtime.version}"
            findViewById<TextView>(R.id.seen).text = getString(if (seen) R.string.seen else R.string.unseen, runtime)
        }
        draw(ArrayList(result.rows.map { getString(R.string.row, it.test.image, list(it.test.expected), list(it.obtained), small(it.delta)) }))
    }

    private fun draw(lines: ArrayList<String>) {
        rows = lines
        val place = findViewById<LinearLayout>(R.id.rows)
        place.removeAllViews()
        for (words in lines) place.addView(TextView(this, null, 0, R.style.Text).apply { text = words })
        for (id in listOf(R.id.save, R.id.share)) findViewById<View>(id).visibility = if (report == null) View.GONE else View.VISIBLE
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
        state.putStringArrayList(ROWS, rows)
    }
}
