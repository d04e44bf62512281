package dermedge.core

import java.io.File
import java.util.Base64

private val FOLDER = File(System.getProperty("golden")!!)

/** A file of tests/golden; the folder is the system property `golden`. */
@Suppress("UNCHECKED_CAST")
fun golden(name: String): Map<String, Any?> = parseJson(File(FOLDER, name).readText()) as Map<String, Any?>

@Suppress("UNCHECKED_CAST")
fun Map<String, Any?>.cases(key: String) = getValue(key) as List<Map<String, Any?>>

fun Map<String, Any?>.int(key: String): Int = (getValue(key) as Long).toInt()

/** JSON has no NaN: null stands for it. */
fun Map<String, Any?>.numbers(key: String): DoubleArray =
    (getValue(key) as List<*>).map { (it as Number?)?.toDouble() ?: Double.NaN }.toDoubleArray()

@Suppress("UNCHECKED_CAST")
fun Map<String, Any?>.texts(key: String) = getValue(key) as List<String>

fun noise(seed: Long, count: Int): ByteArray {
    var x = seed
    return ByteArray(count) {
        x = (1664525 * x + 1013904223) and 0xffffffffL
        (x shr 24).toByte()
    }
}

/** The bytes that an entry describes: given, alike, or noise. */
fun content(entry: Map<String, Any?>, count: Int = entry.int("bytes")): ByteArray = when {
    "data" in entry -> Base64.getDecoder().decode(entry["data"] as String)
    "fill" in entry -> ByteArray(count) { entry.int("fill").toByte() }
    else -> noise(entry["noise"] as Long, count)
}

/** Whether something is refused by the contract. Any other exception is a fault. */
fun refuses(action: () -> Unit): Boolean = try {
    action()
    false
} catch (_: Refused) {
    true
}
