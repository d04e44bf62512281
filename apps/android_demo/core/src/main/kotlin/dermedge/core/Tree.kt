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

    fun keys(): Set<String> = map.keys.mapTo(LinkedHashSet()) { it as String }

    fun list(): List<Tree> = (value as? List<*> ?: wrong("a list")).mapIndexed { i, entry -> Tree(entry, "$place/$i") }

    fun text(): String = value as? String ?: wrong("a text")

    fun int(): Int = (value as? Long)?.takeIf { it.toInt().toLong() == it }?.toInt() ?: wrong("a whole number")

    fun number(range: ClosedFloatingPointRange<Double> = ALL): Double =
        (value as? Number)?.toDouble()?.takeIf { it in range } ?: wrong("a number in $range")

    fun flag(): Boolean = value as? Boolean ?: wrong("true or false")

    fun numbers(): DoubleArray = list().map { it.number() }.toDoubleArray()

    fun words(): Words = keys().associateWith { this[it].text() }.also { if (it.keys.firstOrNull() != "en") wrong("English first") }

    fun demand(good: Boolean, expected: String) {
        if (!good) wrong(expected)
    }
}
