package dermedge.core

/** Why something is refused. An app has a sentence for each, in the user's language; `details` fill its places. */
enum class Reason {
    /** details: what is wrong, in English. An error in the app or in the bundle, not of the user's. */
    CONTRACT,

    // of the bundle: dermedge bundle makes it again
    NO_MANIFEST, BAD_MANIFEST, OTHER_SCHEMA, OTHER_PREPROCESSING, NO_FILE, MISSING, OTHER_BYTES, NEWER_FILE, HALF_DEPTHWISE,
    NO_SELF_TEST, OTHER_PIXELS, CANNOT_OPEN, OTHER_TENSORS,

    // of a photograph
    NOT_A_PHOTOGRAPH, TOO_MANY_BYTES, TOO_MANY_PIXELS, DAMAGED, UNKNOWN_KIND, PHONE_DECODES, DEEP, COLOUR_STATED, UNREADABLE,

    // of an accelerator: the CPU answers instead
    NO_ACCELERATOR, ACCELERATOR_FAILED, ACCELERATOR_DISAGREES,

    // of a question: details: what was asked
    NO_ANSWER,
}

/** Thrown for what the contract refuses, before anything is computed of it. */
class Refused(val reason: Reason, vararg details: Any) : Exception(
    (listOf<Any>(reason) + details).joinToString(" "),
) {
    val details: List<Any> = details.toList()
}

/** Refused as an error of the app unless [good]. */
internal inline fun demand(good: Boolean, words: () -> String) {
    if (!good) throw Refused(Reason.CONTRACT, words())
}

/** [value] if it is from [low] to [high]; otherwise Refused, which calls it [name]. */
internal fun whole(value: Int, low: Int, high: Int, name: String): Int {
    demand(value in low..high) { "$name is a whole number from $low to $high, got $value" }
    return value
}
