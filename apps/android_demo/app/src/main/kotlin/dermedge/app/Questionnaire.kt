package dermedge.app

import android.app.Activity
import android.os.Bundle
import android.text.Editable
import android.text.InputType
import android.text.TextWatcher
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.Spinner
import android.widget.TextView
import dermedge.core.Answers
import dermedge.core.Question
import dermedge.core.QuestionKind

/** The manifest's questions on the screen. Each may be left out; [changed] is called when an answer is another one. */
class Questionnaire(
    private val activity: Activity, private val place: LinearLayout, private val questions: List<Question>, private val changed: () -> Unit,
) {
    private val answered = HashMap<String, Any>()
    val answers: Answers get() = answered.toMap()

    /** Draws the questions with the answers that were [kept] before. */
    fun draw(kept: Bundle?) {
        place.visibility = if (questions.isEmpty()) View.GONE else View.VISIBLE
        for (question in questions) {
            val label = TextView(activity, null, 0, R.style.Text).apply { text = activity.asked(question) }
            kept?.get(question.id)?.let { answered[question.id] = it }
            val field = if (question.kind == QuestionKind.NUMBER) number(question) else choice(question)
            field.id = View.generateViewId()
            field.minimumHeight = (48 * activity.resources.displayMetrics.density).toInt()
            field.isSaveEnabled = false // ids are new each time; the answers are kept by keep()
            label.labelFor = field.id
            place.addView(label)
            place.addView(field)
        }
    }

    fun keep(into: Bundle) {
        for ((id, answer) in answered) {
            when (answer) {
                is Boolean -> into.putBoolean(id, answer)
                is Double -> into.putDouble(id, answer)
                is String -> into.putString(id, answer)
            }
        }
    }

    private fun set(id: String, answer: Any?) {
        if (answered[id] == answer) return
        if (answer == null) answered.remove(id) else answered[id] = answer
        changed()
    }

    private fun choice(question: Question): View {
        val values = if (question.kind == QuestionKind.YES_NO) listOf(true, false) else question.choices.map { it.id }
        val shown = if (question.kind == QuestionKind.YES_NO) {
            listOf(activity.getString(R.string.yes), activity.getString(R.string.no))
        } else {
            question.choices.map { activity.said(it.text) }
        }
        return Spinner(activity).apply {
            adapter = ArrayAdapter(activity, android.R.layout.simple_spinner_dropdown_item, listOf(activity.getString(R.string.skipped)) + shown)
            tag = question.id
            setSelection(values.indexOf(answered[question.id]) + 1)
            onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
                override fun onItemSelected(parent: AdapterView<*>?, view: View?, position: Int, id: Long) =
                    set(question.id, values.getOrNull(position - 1))

                override fun onNothingSelected(parent: AdapterView<*>?) = set(question.id, null)
            }
        }
    }

    private fun number(question: Question): View = EditText(activity).apply {
        inputType = InputType.TYPE_CLASS_NUMBER or InputType.TYPE_NUMBER_FLAG_DECIMAL or InputType.TYPE_NUMBER_FLAG_SIGNED
        tag = question.id
        hint = activity.getString(R.string.skipped)
        (answered[question.id] as Double?)?.let { setText(typed(it)) }
        addTextChangedListener(object : TextWatcher {
            override fun beforeTextChanged(text: CharSequence?, start: Int, count: Int, after: Int) = Unit

            override fun onTextChanged(text: CharSequence?, start: Int, before: Int, count: Int) = Unit

            override fun afterTextChanged(text: Editable) {
                val number = numberIn(text.toString())
                val good = text.isEmpty() || (number != null && number in question.min!!..question.max!!)
                error = if (good) null else "${typed(question.min!!)} – ${typed(question.max!!)}"
                set(question.id, number.takeIf { good })
            }
        })
    }
}
