// What an app needs of manifest.json (edge/manifest.schema.json): everything about the model stands there.
package dermedge.core

const val SCHEMA = "dermedge/manifest/3"
private const val FORMAT = "tflite"
private const val MOST_BYTES = 64 shl 20 // as in edge/files.py
private const val FAR = 1e9 // of numbers that are asked for, and of knots: differences are divided by
private val RULE by lazy { SchemaRule(MANIFEST_SCHEMA) }

/** [name]: the code where a manifest has no name. */
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
    if (bytes.size > MOST_BYTES) throw Refused(Reason.BAD_MANIFEST, "${bytes.size} bytes")
    val value = parseJson(bytes.toString(Charsets.UTF_8).removePrefix("\uFEFF")) // Windows editors put a mark in front
    val root = Tree(value, "")
    val schema = root["schema"].text()
    if (schema != SCHEMA) throw Refused(Reason.OTHER_SCHEMA, schema, SCHEMA)
    val preprocess = root["preprocess"]["version"].text()
    if (preprocess != PREPROCESS_VERSION) throw Refused(Reason.OTHER_PREPROCESSING, preprocess, PREPROCESS_VERSION)
    RULE.misfit(value)?.let { throw Refused(Reason.BAD_MANIFEST, it.take(200)) }
    return consistent(root)
}

/** What fits the schema. Throws Refused where it contradicts itself, as edge/manifest.py does. */
private fun consistent(root: Tree): Manifest {
    val labels = root["labels"].list().map(::label)
    root["labels"].demand(differ(labels.map { it.code }), "codes that differ")
    val side = root["input"]["side"].int()
    val questions = root["questions"].list().map(::question)
    checkPlaces(root["questions"], questions)
    val places = questions.sumOf { it.length }
    val files = root["files"].list()
    root["files"].demand(differ(files.map { it["file"].text() }), "each file once")
    for (file in files) file.demand(!file["answers"].flag() || places > 0, "questions, because the file takes answers")
    val reference = root["reference"]
    reference.demand((reference["kind"].text() == "program") == (reference.orNull("file") != null), "a file of a program alone")
    root.maybe("mask")?.let { it["side"].demand(it["side"].int() == side, "the side of the input") }
    val rows = root.maybe("log_odds")?.list().orEmpty().map { it.numbers() }
    val fits = rows.size == labels.size && rows.all { it.size == places }
    root.demand(root.maybe("log_odds") == null || fits, "log_odds of ${labels.size} rows of $places numbers")
    for (test in root["self_test"].list()) checkTest(test, labels.size, places)
    val decision = root.maybe("decision")?.let { decision(it, side, questions.size) }
    val threshold = root["output"].orNull("abstain_threshold")?.number()
    root["output"].demand(decision == null || decision.points.abstainThreshold == threshold, "the abstain_threshold of decision")
    val file = fileEntry(files.firstOrNull { it["format"].text() == FORMAT } ?: throw Refused(Reason.NO_FILE, FORMAT))
    return Manifest(
        root["model"].text(), labels, side, PREPROCESS_VERSION, root.maybe("mask")?.let { it["threshold"].number() },
        if (file.answers) questions else emptyList(), rows, file, root["self_test"].list().mapNotNull { testImage(it, file.file) },
        decision, root["intended_use"].text(), root["training"]["attribution"].text(), root["training"].maybe("untrained") != null,
    )
}

private fun differ(names: List<String>): Boolean = names.toSet().size == names.size

private fun label(tree: Tree): Label {
    val (code, name) = tree["code"].text() to tree["name"].text()
    tree["name"].demand(name.codePoints().allMatch(::isPrinted), "printable characters without brackets")
    return Label(code, name.ifEmpty { code }, tree.orNull("malignant")?.flag())
}

private const val SILENT =
    1 shl Character.CONTROL.toInt() or (1 shl Character.FORMAT.toInt()) or (1 shl Character.SURROGATE.toInt()) or
        (1 shl Character.PRIVATE_USE.toInt()) or (1 shl Character.UNASSIGNED.toInt()) or
        (1 shl Character.LINE_SEPARATOR.toInt()) or (1 shl Character.PARAGRAPH_SEPARATOR.toInt()) or
        (1 shl Character.SPACE_SEPARATOR.toInt())

private fun isPrinted(letter: Int): Boolean =
    letter == ' '.code || (letter != '['.code && letter != ']'.code && (SILENT shr Character.getType(letter)) and 1 == 0)

private fun fileEntry(tree: Tree): FileEntry {
    val output = tree["output"]
    return FileEntry(
        tree["file"].text(), FORMAT, tree["sha256"].text(), tree["input"]["dtype"].text(), output["dtype"].text(),
        output.maybe("scale")?.number() ?: 1.0, output.maybe("zero_point")?.int() ?: 0, tree["answers"].flag(),
        tree["opens_from"].text(), tree["seen_right"].list().map { Run(it["runtime"].text(), it["version"].text()) },
        tree["recipe"].text(), tree.maybe("audit")?.get("operators")?.keys(),
    )
}

/** Throws Refused unless every answer has so many [classes], and what was answered so many [places]. */
private fun checkTest(tree: Tree, classes: Int, places: Int) {
    val expected = tree["expected"].keys().map { tree["expected"][it] }
    for (answer in expected + tree["reference"]) answer.demand(answer.numbers().size == classes, "$classes probabilities")
    tree.maybe("answers")?.let { it.demand(it.numbers().size == places, "$places answers") }
}

/** Null where nobody says what [file] must answer. */
private fun testImage(tree: Tree, file: String): TestImage? = tree["expected"].maybe(file)?.let { expected ->
    TestImage(
        tree["image"].text(), tree["sha256"].text(), tree["rgb_sha256"].text(), tree["reference"].numbers(), expected.numbers(),
        tree.maybe("answers")?.numbers(),
    )
}

internal fun question(tree: Tree): Question {
    val kind = QuestionKind.valueOf(tree["kind"].text().uppercase())
    val choices = tree["choices"].list().map { Choice(it["id"].text(), it["text"].words()) }
    val knots = tree["knots"].list().map { it.number() }
    val (min, max) = tree.orNull("min")?.number() to tree.orNull("max")?.number()
    val (unit, length) = tree.orNull("unit")?.text() to tree["length"].int()
    val needed = when (kind) {
        QuestionKind.YES_NO -> 2
        QuestionKind.CHOICE -> choices.size
        QuestionKind.NUMBER -> 1 + knots.size
    }
    tree["length"].demand(length == needed, "$needed")
    val enough = if (kind == QuestionKind.CHOICE) choices.size >= 2 && differ(choices.map { it.id }) else choices.isEmpty()
    tree["choices"].demand(enough, "two at least of a choice, each with its own id, and else none")
    if (kind == QuestionKind.NUMBER) {
        tree.demand((knots + min + max).all { it != null && it in -FAR..FAR } && min!! < max!!, "min below max, up to $FAR")
        tree["knots"].demand(knots.size >= 2 && knots.zipWithNext().all { (a, b) -> a < b }, "two knots at least, ascending")
    } else {
        tree.demand(unit == null && min == null && max == null && knots.isEmpty(), "no unit, min, max or knots")
    }
    return Question(tree["id"].text(), tree["text"].words(), kind, choices, unit, min, max, knots, tree["offset"].int(), length)
}

/** The places of the vector are the questions', one after the other. */
private fun checkPlaces(tree: Tree, questions: List<Question>) {
    var next = 0
    for (question in questions) {
        tree.demand(question.offset == next, "${question.id} to begin at $next")
        next += question.length
    }
    tree.demand(differ(questions.map { it.id }), "ids that differ")
}

/** A manifest's `decision` for a model of that [side] and so many [questions]. */
internal fun decision(tree: Tree, side: Int, questions: Int): Decision {
    val version = tree["version"].text()
    val limits = tree["quality"].keys().associateWith { tree["quality"][it].int() }
    for (check in Check.values()) tree["quality"].demand(limits[check.key] in 0..check.most, "${check.key} up to ${check.most}")
    tree["quality"].demand(limits.size == Check.values().size, "nine limits")
    tree["version"].demand(version == DECISION_VERSION, DECISION_VERSION)
    tree["side"].demand(tree["side"].int() == side, "the side of the input")
    val whole = points(tree)
    val entries = tree.maybe("by_answers")?.list().orEmpty()
    tree.demand(differ(entries.map { it["answered"].text() }), "by_answers that says each case once")
    val cases = entries.map { it["from"].int() to points(it) }
    val ascend = cases.zipWithNext().all { (a, b) -> a.first < b.first } && cases.all { it.first <= questions }
    tree.demand(ascend, "by_answers that ascend to $questions at most")
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
