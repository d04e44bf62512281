package dermedge.core

private val ALL = -Double.MAX_VALUE..Double.MAX_VALUE // finite numbers

/** A value of a JSON file with its place there: what does not fit is refused with the place. */
internal class Tree(private val value: Any?, private val place: String) {
    private fun wrong(expected: String): Nothing =
        throw Refused(Reason.BAD_MANIFEST, "${place.ifEmpty { "the whole file" }}: expected $expected")

    private val map: Map<*, *> get() = value as? Map<*, *> ?: wrong("an object")

    operator fun get(key: String): Tree {
        if (key !in map) wrong("$key in it")
        return Tree(map[key], "$place/$key")
    }

    /** Null where the key is missing; a null in its place is refused by what reads it. */
    fun maybe(key: String): Tree? = if (key in map) this[key] else null

    /** Null where the value is null; the key has to be there. */
    fun orNull(key: String): Tree? = this[key].takeIf { it.value != null }

    /** Refuses keys that are not among [known]: another one may mean what this app would not do. */
    fun onlyKeys(known: Set<String>) = (keys() - known).firstOrNull()?.let { wrong("no $it in it") }

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

    fun number(range: ClosedFloatingPointRange<Double>): Double =
        (value as? Number)?.toDouble()?.takeIf { it in range } ?: wrong("a number in $range")

    fun flag(): Boolean = value as? Boolean ?: wrong("true or false")

    fun numbers(most: Int, range: ClosedFloatingPointRange<Double> = ALL): DoubleArray =
        list(most).map { it.number(range) }.toDoubleArray()

    fun words(): Words = keys().associateWith { this[it].text() }.also { if ("en" !in it) wrong("words in English") }

    fun demand(good: Boolean, expected: String) {
        if (!good) wrong(expected)
    }
}
