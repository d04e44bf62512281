package dermedge.app

import android.content.Context
import dermedge.core.Check
import dermedge.core.Question
import dermedge.core.Reason
import dermedge.core.Refused
import dermedge.core.Words
import java.text.NumberFormat
import java.util.Locale

private const val MINUS_SIGN = '\u2212' // Swedish, Norwegian and Finnish write it
private const val ARABIC_COMMA = '\u066b'

private val REFUSED = mapOf(
    Reason.CONTRACT to R.string.refused_contract, Reason.NO_MANIFEST to R.string.refused_no_manifest,
    Reason.BAD_MANIFEST to R.string.refused_bad_manifest, Reason.OTHER_SCHEMA to R.string.refused_other_schema,
    Reason.OTHER_PREPROCESSING to R.string.refused_other_preprocessing, Reason.NO_FILE to R.string.refused_no_file,
    Reason.MISSING to R.string.refused_missing, Reason.OTHER_BYTES to R.string.refused_other_bytes,
    Reason.NEWER_FILE to R.string.refused_newer_file, Reason.HALF_DEPTHWISE to R.string.refused_half_depthwise,
    Reason.NO_SELF_TEST to R.string.refused_no_self_test,
    Reason.OTHER_PIXELS to R.string.refused_other_pixels, Reason.CANNOT_OPEN to R.string.refused_cannot_open,
    Reason.OTHER_TENSORS to R.string.refused_other_tensors, Reason.NOT_A_PHOTOGRAPH to R.string.refused_not_a_photograph,
    Reason.TOO_MANY_BYTES to R.string.refused_too_many_bytes, Reason.TOO_MANY_PIXELS to R.string.refused_too_many_pixels,
    Reason.DAMAGED to R.string.refused_damaged, Reason.UNKNOWN_KIND to R.string.refused_unknown_kind,
    Reason.PHONE_DECODES to R.string.refused_phone_decodes, Reason.DEEP to R.string.refused_deep,
    Reason.COLOUR_STATED to R.string.refused_colour_stated, Reason.UNREADABLE to R.string.refused_unreadable,
    Reason.NO_ACCELERATOR to R.string.refused_no_accelerator, Reason.ACCELERATOR_FAILED to R.string.refused_accelerator_failed,
    Reason.ACCELERATOR_DISAGREES to R.string.refused_accelerator_disagrees,
    Reason.NO_ANSWER to R.string.refused_no_answer,
)

private val CHECKS = mapOf(
    Check.LIGHT to R.string.check_light, Check.CLIPPED to R.string.check_clipped, Check.CONTRAST to R.string.check_contrast,
    Check.FINE to R.string.check_fine, Check.COARSE to R.string.check_coarse, Check.BUSY to R.string.check_busy,
    Check.WARM to R.string.check_warm, Check.GREEN to R.string.check_green, Check.SPOT to R.string.check_spot,
)

// A manifest has one word for all languages; units that are not here are shown as they stand there.
private val UNITS = mapOf(
    "years" to R.string.unit_years, "months" to R.string.unit_months, "weeks" to R.string.unit_weeks, "days" to R.string.unit_days,
)

/** Why something is refused, in the user's language. */
fun Context.sentence(refused: Refused): String =
    getString(REFUSED.getValue(refused.reason), *refused.details.map { it.toString() }.toTypedArray())

/** What a check asks the user to do. */
fun Context.advice(check: Check): String = getString(CHECKS.getValue(check))

/** Words of a manifest in the user's language, else in its first. */
fun Context.said(words: Words): String = words[resources.configuration.locales[0].language] ?: words.values.first()

/** The question with its unit, where it has one. */
fun Context.asked(question: Question): String =
    said(question.text) + question.unit?.let { " (${UNITS[it]?.let(::getString) ?: it})" }.orEmpty()

/** 54.0 as 54, 1.5 as 1,5 in German. */
fun typed(number: Double): String = NumberFormat.getInstance().apply { isGroupingUsed = false; maximumFractionDigits = 10 }.format(number)

/** What was typed, or written by [typed], as a number; in any language's digits, with a point or a comma. Null if it is none. */
fun numberIn(text: String): Double? = text.filterNot { Character.getType(it) == Character.FORMAT.toInt() }.map {
    when {
        it == ',' || it == ARABIC_COMMA -> '.'
        it == MINUS_SIGN -> '-'
        it.isDigit() -> Character.forDigit(Character.digit(it, 10), 10)
        else -> it
    }
}.joinToString("").toDoubleOrNull()

/** 0.1234 as 12.3, in the user's notation. */
fun percent(probability: Double): String = String.format(Locale.getDefault(), "%.1f", 100 * probability)
