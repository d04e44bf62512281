package dermedge.app

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import dermedge.core.Answers
import dermedge.core.Manifest
import dermedge.core.Outcome
import dermedge.core.OutcomeKind
import dermedge.core.checkDecision
import dermedge.core.countOf
import dermedge.core.decide
import dermedge.core.effects
import dermedge.core.encode
import dermedge.core.largestOf
import dermedge.core.measure
import dermedge.core.modelInput
import dermedge.core.tempered
import java.util.Locale

private const val PICK = 1
private const val CAMERA = 2
private const val SQUARE = "square"
private const val ANSWERS = "answers"
private const val MOST_KEPT_BYTES = 400_000 // the system refuses states of a megabyte
private const val STEPS = 1000 // of a bar

/** The first screen: a picture, what the model says of it, and the questions. */
class MainActivity : Activity() {
    private var square: ByteArray? = null
    private var manifest: Manifest? = null
    private var questionnaire: Questionnaire? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.main)
        square = state?.getByteArray(SQUARE)
        findViewById<Button>(R.id.choose).setOnClickListener { pick() }
        findViewById<Button>(R.id.camera).setOnClickListener { startActivityForResult(Intent(this, CameraActivity::class.java), CAMERA) }
        findViewById<Button>(R.id.test).setOnClickListener { startActivity(Intent(this, SelfTestActivity::class.java)) }
        status(getString(R.string.loading))
        app.compute(this, { app.model().manifest }, ::status) { ready(it, state?.getBundle(ANSWERS)) }
    }

    private fun status(words: String) {
        findViewById<TextView>(R.id.status).text = words
    }

    private fun ready(model: Manifest, kept: Bundle?) {
        manifest = model
        questionnaire = Questionnaire(this, findViewById(R.id.questions), model.questions, ::answer).apply { draw(kept) }
        for (id in listOf(R.id.choose, R.id.camera, R.id.test)) findViewById<View>(id).isEnabled = true
        val runtime = app.runtime
        findViewById<TextView>(R.id.about).text = getString(
            R.string.about, model.model, model.file.file, runtime.library, runtime.version, model.intendedUse, model.attribution,
        )
        status(ready(model))
        answer()
    }

    private fun pick() {
        val request = Intent(Intent.ACTION_GET_CONTENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE)
        startActivityForResult(request, PICK)
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        super.onActivityResult(request, result, data)
        if (result != RESULT_OK) return
        if (request == CAMERA) {
            square = app.taken ?: square
            app.taken = null
            answer()
            return
        }
        val uri = data?.data ?: return
        status(getString(R.string.computing))
        app.compute(
            this, { modelInput(readPhoto(contentResolver, uri, cacheDir), app.model().manifest.side) },
            { words -> forget(); status(words) },
        ) {
            square = it
            answer()
        }
    }

    /** A photograph that was refused must not leave the last one's answer on the screen. */
    private fun forget() {
        square = null
        findViewById<View>(R.id.result).visibility = View.GONE
        findViewById<View>(R.id.square).visibility = View.GONE
    }

    private fun answer() {
        val model = manifest ?: return
        val picture = square ?: return
        val given = questionnaire?.answers.orEmpty()
        app.compute(this, { app.computed { it.run(picture, encode(model.questions, given)) } }, { words -> forget(); status(words) }) { answer ->
            val kind = show(model, picture, given, answer.probabilities)
            val mask = answer.mask.takeIf { kind != OutcomeKind.RETAKE } // nothing is said of such a picture
            findViewById<ImageView>(R.id.square).apply {
                setImageBitmap(bitmapOf(picture, model.side, mask, model.maskThreshold ?: 1.0))
                contentDescription = getString(if (mask == null) R.string.square else R.string.masked)
                visibility = View.VISIBLE
            }
            status(ready(model))
        }
    }

    private fun ready(model: Manifest): String = listOfNotNull(
        getString(R.string.ready, model.file.file), getString(R.string.untrained).takeIf { model.untrained },
        app.lost?.let { getString(R.string.refused_accelerator_failed, it) },
    ).joinToString(" ")

    private fun show(model: Manifest, picture: ByteArray, given: Answers, probabilities: DoubleArray): OutcomeKind {
        val points = model.decision?.inForce(countOf(given))
        val shown = tempered(probabilities, points?.temperature ?: 1.0)
        val outcome = if (points == null) {
            Outcome(OutcomeKind.CLASS, model.codes[largestOf(shown)], emptyList())
        } else {
            checkDecision(model.side, model.decision!!, points, shown, model.codes)
            decide(measure(picture, model.side), model.decision!!.limits, points, shown, model.codes)
        }
        findViewById<TextView>(R.id.outcome).text = words(model, outcome, shown)
        val ranked = findViewById<LinearLayout>(R.id.ranked)
        val shownIf = if (outcome.kind == OutcomeKind.RETAKE) View.GONE else View.VISIBLE
        for (id in listOf(R.id.ranked, R.id.meaning, R.id.effects)) findViewById<View>(id).visibility = shownIf
        ranked.removeAllViews()
        for (i in shown.indices.sortedByDescending { shown[it] }) rank(ranked, model, i, shown[i], probabilities[i])
        findViewById<TextView>(R.id.effects).text = if (model.logOdds.isEmpty()) "" else {
            effects(model.questions, model.logOdds, given).joinToString("\n") { effect ->
                getString(
                    R.string.effect, said(effect.question.text), told(effect.question.choices.associate { it.id to said(it.text) }, effect.answer),
                    model.labels[effect.classIndex].name, String.format(Locale.getDefault(), "%.2f", effect.factor),
                )
            }
        }
        findViewById<View>(R.id.result).visibility = View.VISIBLE
        return outcome.kind
    }

    private fun told(choices: Map<String, String>, answer: Any): String = when (answer) {
        true -> getString(R.string.yes)
        false -> getString(R.string.no)
        is Double -> typed(answer)
        else -> choices[answer] ?: answer.toString()
    }

    private fun words(model: Manifest, outcome: Outcome, shown: DoubleArray): String = when (outcome.kind) {
        OutcomeKind.RETAKE -> getString(R.string.outcome_retake, advice(outcome.failed.first()))
        OutcomeKind.UNCERTAIN -> getString(R.string.outcome_uncertain)
        OutcomeKind.CLASS -> {
            val best = model.codes.indexOf(outcome.code)
            getString(R.string.outcome_class, model.labels[best].name, percent(shown[best]))
        }
    }

    /** A line of the ranking. Its tag is what the file said, for whoever compares. */
    private fun rank(place: LinearLayout, model: Manifest, i: Int, shown: Double, probability: Double) {
        val line = TextView(this, null, 0, R.style.Text).apply {
            text = getString(R.string.ranked, model.labels[i].name, percent(shown))
            tag = model.codes[i] to probability
        }
        val bar = ProgressBar(this, null, android.R.attr.progressBarStyleHorizontal).apply {
            max = STEPS
            progress = (STEPS * shown).toInt()
            importantForAccessibility = View.IMPORTANT_FOR_ACCESSIBILITY_NO // the line says the same
        }
        place.addView(line)
        place.addView(bar, LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, LinearLayout.LayoutParams.WRAP_CONTENT))
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        square?.takeIf { it.size <= MOST_KEPT_BYTES }?.let { state.putByteArray(SQUARE, it) }
        questionnaire?.let { asked -> state.putBundle(ANSWERS, Bundle().also(asked::keep)) }
    }
}
