// What an app needs of manifest.json (edge/manifest.schema.json): everything about the model stands there.
package dermedge.core

import kotlin.math.nextDown

const val SCHEMA = "dermedge/manifest/3"
private const val MOST_CLASSES = 1001
private const val MOST_PLACES = 1000 // of the vector of answers
private val RANGE = -1e9..1e9 // of numbers that are asked for, and of knots: differences are divided by
private val FILE_NAME = Regex("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
private val SHA256 = Regex("[0-9a-f]{64}")
private val RECIPE = Regex("[a-z0-9-]{1,32}")
private val CODE = Regex("[\\p{L}\\p{N}_-]{1,64}")
private val PROBABILITY = 0.0..1.0001 // half precision rounds up
private val OUTPUT_KEYS = setOf("name", "meaning", "temperature", "abstain_threshold")
private val DECISION_KEYS =
    setOf("version", "side", "quality", "abstain_threshold", "malignant_threshold", "by_answers", "coverage", "measured")
private val ENTRY_KEYS = setOf("answered", "from", "abstain_threshold", "malignant_threshold", "temperature")
private val ANSWERED = Regex("some|all") // of the questions
private val ID = Regex("[A-Za-z0-9_-]{1,64}")

class Label(val code: String, val name: String, val malignant: Boolean?)

/** Where a file was run and was right. */
class Run(val runtime: String, val version: String)

/**
 * The bundled file. [scale] and [zeroPoint] of probabilities in whole numbers: (number - zeroPoint) * scale.
 * [operators]: names in capitals, null where nobody counted them.
 */
class FileEntry(
    val file: String, val format: String, val sha256: String, val input: String, val output: String, val scale: Double,
    val zeroPoint: Int, val answers: Boolean, val opensFrom: String, val seenRight: List<Run>,
    val recipe: String, val operators: Set<String>?,
)

/** A self-test image: hashes of the file and of its pixels, the float model's probabilities, and the file's. */
class TestImage(
    val image: String, val sha256: String, val rgbSha256: String, val reference: DoubleArray, val expected: DoubleArray,
    val answers: DoubleArray?,
)

class Manifest(
    val model: String, val labels: List<Label>, val side: Int, val preprocess: String, val maskThreshold: Double?,
    val questions: List<Question>, val logOdds: List<DoubleArray>, val file: FileEntry, val selfTest: List<TestImage>,
    val decision: Decision?, val intendedUse: String, val attribution: String, val untrained: Boolean,
) {
    val codes = labels.map { it.code }
}

/** The manifest of a bundle, in UTF-8. Throws Refused for another schema, or with the place that does not fit. */
fun readManifest(bytes: ByteArray): Manifest {
    val root = Tree(parseJson(bytes.toString(Charsets.UTF_8)), "")
    val schema = root["schema"].text()
    if (schema != SCHEMA) throw Refused(Reason.OTHER_SCHEMA, schema, SCHEMA)
    val preprocess = root["preprocess"]["version"].text()
    if (preprocess != PREPROCESS_VERSION) throw Refused(Reason.OTHER_PREPROCESSING, preprocess, PREPROCESS_VERSION)
    val labels = root["labels"].list(MOST_CLASSES, least = 2).map {
        Label(it["code"].name(CODE), it["name"].text(200), it.orNull("malignant")?.flag())
    }
    root["labels"].demand(labels.map { it.code }.toSet().size == labels.size, "codes that differ")
    root["output"].onlyKeys(OUTPUT_KEYS)
    val side = root["input"]["side"].int(16..1024)
    val questions = root["questions"].list(100).map(::question)
    checkPlaces(root["questions"], questions)
    val entry = root["files"].list(200).firstOrNull { it["format"].text() == "tflite" } ?: throw Refused(Reason.NO_FILE, "tflite")
    val file = fileEntry(entry)
    val places = questions.sumOf { it.length }
    if (file.answers) entry.demand(places > 0, "questions, because the file takes answers")
    return Manifest(
        root["model"].text(64), labels, side, preprocess,
        root.maybe("mask")?.let { mask ->
            mask["side"].demand(mask["side"].int(16..1024) == side, "the side of the input")
            mask["threshold"].number(Double.MIN_VALUE..1.0.nextDown())
        },
        if (file.answers) questions else emptyList(), logOdds(root, labels.size, places), file,
        root["self_test"].list(16).mapNotNull { testImage(it, file.file, labels.size, places) },
        root.maybe("decision")?.let { decision(it, side, questions.size) },
        root["intended_use"].text(), root["training"]["attribution"].text(), root["training"].maybe("untrained") != null,
    )
}

private fun fileEntry(tree: Tree): FileEntry {
    val output = tree["output"]
    return FileEntry(
        tree["file"].name(FILE_NAME), "tflite", tree["sha256"].name(SHA256), tree["input"]["dtype"].name(Regex("float32|uint8")),
        output["dtype"].name(Regex("float32|uint8")), output.maybe("scale")?.number(Double.MIN_VALUE..Double.MAX_VALUE) ?: 1.0,
        output.maybe("zero_point")?.int(0..255) ?: 0, tree["answers"].flag(), tree["opens_from"].text(200),
        tree["seen_right"].list(100).map { Run(it["runtime"].text(100), it["version"].text(100)) },
        tree["recipe"].name(RECIPE), tree.maybe("audit")?.get("operators")?.keys(),
    )
}

private fun logOdds(root: Tree, classes: Int, places: Int): List<DoubleArray> {
    val rows = root.maybe("log_odds")?.list(MOST_CLASSES)?.map { it.numbers(MOST_PLACES) } ?: return emptyList()
    root["log_odds"].demand(rows.size == classes && rows.all { it.size == places }, "$classes rows of $places numbers")
    return rows
}

private fun testImage(tree: Tree, file: String, classes: Int, places: Int): TestImage? {
    val expected = tree["expected"].maybe(file)?.numbers(MOST_CLASSES, PROBABILITY) ?: return null
    val reference = tree["reference"].numbers(MOST_CLASSES, PROBABILITY)
    val answers = tree.maybe("answers")?.numbers(MOST_PLACES)
    tree.demand(reference.size == classes && expected.size == classes, "$classes probabilities")
    tree.demand(answers == null || answers.size == places, "$places answers")
    return TestImage(
        tree["image"].name(FILE_NAME), tree["sha256"].name(SHA256), tree["rgb_sha256"].name(SHA256), reference, expected, answers,
    )
}

internal fun question(tree: Tree): Question {
    val kind = QuestionKind.valueOf(tree["kind"].name(Regex("yes_no|choice|number")).uppercase())
    val choices = tree["choices"].list(100).map { Choice(it["id"].name(ID), it["text"].words()) }
    tree["choices"].demand(choices.map { it.id }.toSet().size == choices.size, "ids that differ")
    val knots = tree["knots"].list(100).map { it.number(RANGE) }
    val (min, max) = tree.orNull("min")?.number(RANGE) to tree.orNull("max")?.number(RANGE)
    val unit = tree.orNull("unit")?.text(40)
    val length = tree["length"].int(1..MOST_PLACES)
    val needed = when (kind) {
        QuestionKind.YES_NO -> 2
        QuestionKind.CHOICE -> choices.size
        QuestionKind.NUMBER -> 1 + knots.size
    }
    tree["length"].demand(length == needed, "$needed")
    tree["choices"].demand(kind != QuestionKind.CHOICE || choices.size >= 2, "two at least")
    tree["choices"].demand(kind == QuestionKind.CHOICE || choices.isEmpty(), "none")
    if (kind == QuestionKind.NUMBER) {
        tree.demand(min != null && max != null && min < max, "min below max")
        tree["knots"].demand(knots.size >= 2 && knots.zipWithNext().all { (a, b) -> a < b }, "two knots at least, ascending")
    } else {
        tree.demand(unit == null && min == null && max == null && knots.isEmpty(), "no unit, min, max or knots")
    }
    return Question(
        tree["id"].name(ID), tree["text"].words(), kind, choices, unit, min, max, knots,
        tree["offset"].int(0..MOST_PLACES), length,
    )
}

/** The places of the vector are the questions', one after the other. */
private fun checkPlaces(tree: Tree, questions: List<Question>) {
    var next = 0
    for (question in questions) {
        tree.demand(question.offset == next, "${question.id} to begin at $next")
        next += question.length
    }
    tree.demand(questions.map { it.id }.toSet().size == questions.size, "ids that differ")
}

/** A manifest's `decision` for a model of that [side] and so many [questions]. */
internal fun decision(tree: Tree, side: Int, questions: Int): Decision {
    val version = tree["version"].text(32)
    val limits = tree["quality"].keys().associateWith { tree["quality"][it].int(0..9999) }
    for (check in Check.values()) tree["quality"].demand(limits[check.key] in 0..check.most, "${check.key} up to ${check.most}")
    tree["quality"].demand(limits.size == Check.values().size, "nine limits")
    tree["version"].demand(version == DECISION_VERSION, DECISION_VERSION)
    tree["side"].demand(tree["side"].int(5..MAX_SIDE) == side, "the side of the input")
    tree.onlyKeys(DECISION_KEYS) // a temperature, too: without answers the file's probabilities are shown as they are
    val whole = points(tree)
    val entries = tree.maybe("by_answers")?.list(3, least = 1).orEmpty()
    val answered = entries.onEach { it.onlyKeys(ENTRY_KEYS) }.map { it["answered"].name(ANSWERED) }
    tree.demand(answered.toSet().size == answered.size, "by_answers that says each case once")
    val cases = entries.map { it["from"].int(1..questions) to points(it) }
    tree.demand(cases.zipWithNext().all { (a, b) -> a.first < b.first }, "by_answers that ascend")
    val alike = cases.all { (_, points) -> (points.malignantThreshold == null) == (whole.malignantThreshold == null) }
    tree.demand(alike, "malignant_threshold with all numbers of answers, or with none")
    return Decision(version, side, limits, whole, cases)
}

private operator fun IntRange.contains(value: Int?): Boolean = value != null && value >= first && value <= last

/** The thresholds in `decision`, or in an entry of its `by_answers`. */
internal fun points(tree: Tree) = Points(
    tree["abstain_threshold"].number(0.0..1.0), tree.maybe("malignant_threshold")?.number(0.0..1.0),
    tree.maybe("temperature")?.number(0.2..5.0) ?: 1.0,
)
