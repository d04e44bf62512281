// JSON (RFC 8259), read as hostile: bounded nesting, no key twice, finite numbers.
package dermedge.core

private const val DEEPEST = 64

/** The value of a JSON text: Map, List, String, Double, Long (or a larger BigInteger), Boolean or null. Throws Refused with the place. */
fun parseJson(text: String): Any? = JsonReader(text).whole()

private class JsonReader(private val text: String) {
    private var at = 0

    fun whole(): Any? {
        val value = value(0)
        skip()
        if (at != text.length) wrong("more than one value")
        return value
    }

    private fun wrong(what: String): Nothing = throw Refused(Reason.BAD_MANIFEST, "JSON, letter $at: $what")

    private fun skip() {
        while (at < text.length && text[at] in " \t\r\n") at += 1
    }

    private fun next(): Char {
        if (at >= text.length) wrong("it ends early")
        return text[at++]
    }

    private fun expect(word: String) {
        if (!text.startsWith(word, at)) wrong("expected $word")
        at += word.length
    }

    private fun value(depth: Int): Any? {
        if (depth > DEEPEST) wrong("nested too deeply")
        skip()
        if (at >= text.length) wrong("it ends early")
        return when (text[at]) {
            '{' -> map(depth)
            '[' -> list(depth)
            '"' -> string()
            't' -> { expect("true"); true }
            'f' -> { expect("false"); false }
            'n' -> { expect("null"); null }
            else -> number()
        }
    }

    private fun map(depth: Int): Map<String, Any?> {
        val result = LinkedHashMap<String, Any?>()
        at += 1
        skip()
        if (at < text.length && text[at] == '}') { at += 1; return result }
        while (true) {
            skip()
            if (at >= text.length || text[at] != '"') wrong("expected a name")
            val key = string()
            if (key in result) wrong("$key is there twice")
            skip()
            expect(":")
            result[key] = value(depth + 1)
            skip()
            when (next()) {
                ',' -> continue
                '}' -> return result
                else -> wrong("expected , or }")
            }
        }
    }

    private fun list(depth: Int): List<Any?> {
        val result = ArrayList<Any?>()
        at += 1
        skip()
        if (at < text.length && text[at] == ']') { at += 1; return result }
        while (true) {
            result += value(depth + 1)
            skip()
            when (next()) {
                ',' -> continue
                ']' -> return result
                else -> wrong("expected , or ]")
            }
        }
    }

    private fun string(): String {
        val result = StringBuilder()
        at += 1
        while (true) {
            val letter = next()
            when {
                letter == '"' -> return result.toString()
                letter < ' ' -> wrong("a control character in a text")
                letter == '\\' -> result.append(escaped())
                else -> result.append(letter)
            }
        }
    }

    private fun escaped(): Char = when (val letter = next()) {
        '"', '\\', '/' -> letter
        'b' -> '\b'
        'f' -> '\u000c'
        'n' -> '\n'
        'r' -> '\r'
        't' -> '\t'
        'u' -> {
            val digits = text.substring(at, minOf(at + 4, text.length))
            if (digits.length < 4 || digits.any { it.digitToIntOrNull(16) == null }) wrong("a bad \\u")
            at += 4
            digits.toInt(16).toChar()
        }
        else -> wrong("a bad \\$letter")
    }

    private fun number(): Number {
        val match = NUMBER.find(text, at)?.takeIf { it.range.first == at } ?: wrong("expected a value")
        at += match.value.length
        if (match.value.none { it in ".eE" }) return match.value.toLongOrNull() ?: match.value.toBigInteger() // no Double: it is whole
        val number = match.value.toDouble()
        if (number.isInfinite()) wrong("a number that is too large")
        return number
    }

    private companion object {
        val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
    }
}

/** A value as JSON: Map, List, String, Number, Boolean or null. Throws Refused for a number that JSON cannot hold. */
fun writeJson(value: Any?): String = when (value) {
    null -> "null"
    is String -> quoted(value)
    is Boolean, is Int, is Long -> value.toString()
    is Number -> value.toDouble().let { number ->
        demand(number.isFinite()) { "$number is no number of JSON" }
        number.toString()
    }
    is Map<*, *> -> value.entries.joinToString(",", "{", "}") { (key, entry) -> quoted(key as String) + ":" + writeJson(entry) }
    is List<*> -> value.joinToString(",", "[", "]") { writeJson(it) }
    else -> throw Refused(Reason.CONTRACT, "${value.javaClass.simpleName} is no value of JSON")
}

private fun quoted(text: String): String = text.map { letter ->
    when {
        letter == '"' || letter == '\\' -> "\\$letter"
        letter < ' ' -> "\\u" + letter.code.toString(16).padStart(4, '0')
        else -> letter.toString()
    }
}.joinToString("", "\"", "\"")
