// What a rule of JSON Schema (draft 2020-12) says of a value, for the keywords that apps/write_schema.py lets through.
package dermedge.core

private const val EXACT = 1L shl 53 // whole numbers up to here are exact in every language that reads a manifest

private fun isWhole(value: Any?): Boolean = value is Long && value in -EXACT..EXACT

private fun isOfType(name: Any?, value: Any?): Boolean = when (name) {
    "null" -> value == null
    "boolean" -> value is Boolean
    "string" -> value is String
    "array" -> value is List<*>
    "object" -> value is Map<*, *>
    "integer" -> isWhole(value)
    "number" -> isWhole(value) || value is Double // the parser reads finite ones alone
    else -> throw Refused(Reason.CONTRACT, "a rule of the type $name")
}

private fun equal(a: Any?, b: Any?): Boolean = when {
    a is Number && b is Number -> a.toDouble() == b.toDouble()
    a is List<*> && b is List<*> -> a.size == b.size && a.indices.all { equal(a[it], b[it]) }
    else -> a == b
}

/** The rules of a schema, parsed once. */
internal class SchemaRule(schema: String) {
    private val root = parseJson(schema) as Map<*, *>
    private val named = root["defs"] as Map<*, *>
    private val patterns = HashMap<String, Regex>()

    /** The place of the first part of [value] that does not fit, such as labels/0/code; null if all fits. */
    fun misfit(value: Any?): String? = misfit(value, root, "")?.ifEmpty { "the whole file" }

    private fun misfit(value: Any?, stated: Map<*, *>, place: String): String? {
        val rule = stated["ref"]?.let { named[it] as Map<*, *> } ?: stated
        if (!fits(value, rule)) return place
        fun of(part: Any?, inner: Map<*, *>, key: Any?) = misfit(part, inner, if (place.isEmpty()) "$key" else "$place/$key")
        if (value is List<*>) {
            val items = rule["items"] as Map<*, *>? ?: return null
            return value.indices.firstNotNullOfOrNull { of(value[it], items, it) }
        }
        if (value !is Map<*, *>) return null
        (rule["required"] as List<*>?).orEmpty().find { it !in value }?.let { return "$place/$it".removePrefix("/") }
        val (known, others) = (rule["properties"] as Map<*, *>?).orEmpty() to rule["additionalProperties"]
        return value.entries.firstNotNullOfOrNull { (key, part) ->
            val inner = if (key in known) known[key] else others
            if (inner == false) "$place/$key".removePrefix("/") else (inner as Map<*, *>?)?.let { of(part, it, key) }
        }
    }

    /** Whether the value itself is right, whatever its parts are. */
    private fun fits(value: Any?, rule: Map<*, *>): Boolean {
        val types = rule["type"]?.let { if (it is List<*>) it else listOf(it) }
        if (types != null && types.none { isOfType(it, value) }) return false
        if ("const" in rule && !equal(value, rule["const"])) return false
        if ("enum" in rule && value !in rule["enum"] as List<*>) return false
        fun within(count: Int, least: String, most: String) =
            count >= (rule[least] as Long? ?: 0) && count <= (rule[most] as Long? ?: Long.MAX_VALUE)
        fun limit(key: String, good: (Double) -> Boolean) = (rule[key] as Number?)?.let { good(it.toDouble()) } ?: true
        return when (value) {
            is String -> rule["pattern"]?.let { patterns.getOrPut(it as String) { Regex(it) }.matches(value) } != false &&
                within(value.codePointCount(0, value.length), "minLength", "maxLength")
            is Number -> value.toDouble().let { number ->
                limit("minimum") { number >= it } && limit("maximum") { number <= it } &&
                    limit("exclusiveMinimum") { number > it } && limit("exclusiveMaximum") { number < it }
            }
            is List<*> -> within(value.size, "minItems", "maxItems")
            is Map<*, *> -> within(value.size, "minProperties", "maxProperties")
            else -> true
        }
    }
}
