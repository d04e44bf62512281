package dermedge.core

/** A value of a JSON file with its place there: what does not fit is refused with the place. */
internal class Tree(private val value: Any?, private val place: String) {
    private fun wrong(expected: String): Nothing =
        throw Refused(Reason.BAD_MANIFEST, "${place.ifEmpty { "the whole file" }}: expected $expected")

    private val map: Map<*, *> get() = value as? Map<*, *> ?: wrong("an object")

    operator fun get(key: String): Tree {
        if (key !in map) wrong("$key in it")
        return Tree(map[key], "$place/$key")
    }

    /** Null where the key is missing or its value is null. */
    fun maybe(key: String): Tree? = map[key]?.let { Tree(it, "$place/$key") }

    fun keys(): Set<String> = map.keys.mapTo(LinkedHashSet()) { it as String }

    fun list(most: Int, least: Int = 0): List<Tree> {
        val list = value as? List<*> ?: wrong("a list")
        if (list.size !in least..most) wrong("$least to $most entries")
        return list.mapIndexed { i, entry -> Tree(entry, "$place/$i") }
    }

    fun text(most: Int = 4000): String = (value as? String)?.takeIf { it.length <= most } ?: wrong("at most $most letters")

    fun name(pattern: Regex): String = text().takeIf { pattern.matches(it) } ?: wrong("a text like $pattern")

    fun int(range: IntRange): Int =
        (value as? Long)?.takeIf { it in range.first.toLong()..range.last.toLong() }?.toInt() ?: wrong("a whole number in $range")

    fun number(range: ClosedFloatingPointRange<Double> = -Double.MAX_VALUE..Double.MAX_VALUE): Double =
        (value as? Number)?.toDouble()?.takeIf { it in range } ?: wrong("a number in $range")

    fun flag(): Boolean = value as? Boolean ?: wrong("true or false")

    fun numbers(most: Int): DoubleArray = list(most).map { it.number() }.toDoubleArray()

    fun words(): Words = keys().associateWith { this[it].text() }.ifEmpty { wrong("words in a language") }

    fun demand(good: Boolean, expected: String) {
        if (!good) wrong(expected)
    }
}
