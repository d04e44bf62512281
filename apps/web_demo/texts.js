// Every word of the page, by language. Names of classes and questions come from the model's manifest.
export const TEXTS = {
  en: {
    notice: 'Research use, not a medical device', title: 'A skin-lesion model on this device', language: 'Language',
    picture: 'Picture', local: 'Everything is computed on this device; no picture and no answer leaves it.',
    choose: 'Choose a photograph', camera: 'Open the camera', take: 'Take the picture',
    questions: 'Questions, each of which may be left out', skipped: 'not answered', yes: 'yes', no: 'no',
    result: 'What the model says', test: 'Self-test', run: 'Run the self-test', save: 'Save the report',
    meaning: 'Probabilities of a model that was trained on photographs, no diagnosis. They may be wrong.',
    testPurpose: "Does this device compute what the model's maker saw? The images are part of the model.",
    loading: 'The model is being loaded …', ready: 'Ready: {file}', computing: 'Computing …',
    class: 'Most likely for the model: {name}, {percent}\u00a0%', uncertain: 'Not sure enough to name one class.',
    retake: 'Please take another picture: {reason}', square: 'The square that the model sees',
    effect: '{question} {answer}: odds of {name} times {factor}', good: 'The picture can be used.',
    noCamera: 'The camera cannot be used ({error}). Allow it in the browser, or choose a photograph.',
    passed: 'Passed: the largest difference of a probability is {delta}.', failed: 'Failed: {names}.',
    image: 'Image', expected: 'Expected', obtained: 'Obtained', difference: 'Largest difference',
    times: 'Median {median} ms, nine of ten within {p90} ms, the first {cold} ms; the model was loaded in {load} ms.',
    memory: 'Memory of the page: {megabytes} MB.',
    seen: 'The maker has seen this file right in this runtime.', unseen: 'The maker has not tried this file in this runtime.',
    light: 'too dark: find more light', clipped: 'too bright: avoid glare and direct light',
    contrast: 'nothing to be seen: bring the spot into the middle and keep the lens free',
    fine: 'blurred: hold still and let the camera focus',
    coarse: 'blurred or shaken: hold still and let the camera focus',
    busy: 'too much fine structure for skin: go closer, and point at the spot',
    warm: 'hardly any colour of skin: point at the spot, in white light',
    green: 'too much green for skin: point at the spot, in white light',
    spot: 'no spot to be seen: bring it into the middle and go closer',
  },
  de: {
    notice: 'Für die Forschung, kein Medizinprodukt', title: 'Ein Modell für Hautflecken auf diesem Gerät', language: 'Sprache',
    picture: 'Bild', local: 'Alles wird auf diesem Gerät gerechnet; kein Bild und keine Antwort verlässt es.',
    choose: 'Foto auswählen', camera: 'Kamera öffnen', take: 'Bild aufnehmen',
    questions: 'Fragen, von denen jede ausgelassen werden darf', skipped: 'nicht beantwortet', yes: 'ja', no: 'nein',
    result: 'Was das Modell sagt', test: 'Selbsttest', run: 'Selbsttest starten', save: 'Bericht speichern',
    meaning: 'Wahrschein\u00adlichkeiten eines Modells, das an Fotos gelernt hat, keine Diagnose. Sie können falsch sein.',
    testPurpose: 'Rechnet dieses Gerät, was der Hersteller des Modells sah? Die Bilder gehören zum Modell.',
    loading: 'Das Modell wird geladen …', ready: 'Bereit: {file}', computing: 'Es wird gerechnet …',
    class: 'Am wahrschein\u00adlichsten für das Modell: {name}, {percent}\u00a0%', uncertain: 'Nicht sicher genug, um eine Klasse zu nennen.',
    retake: 'Bitte ein anderes Bild aufnehmen: {reason}', square: 'Das Quadrat, das das Modell sieht',
    effect: '{question} {answer}: Chancen von {name} mal {factor}', good: 'Das Bild ist brauchbar.',
    noCamera: 'Die Kamera ist nicht nutzbar ({error}). Im Browser erlauben, oder ein Foto auswählen.',
    passed: 'Bestanden: der größte Unterschied einer Wahrscheinlichkeit ist {delta}.', failed: 'Nicht bestanden: {names}.',
    image: 'Bild', expected: 'Erwartet', obtained: 'Erhalten', difference: 'Größter Unterschied',
    times: 'Median {median} ms, neun von zehn in {p90} ms, das erste {cold} ms; das Modell war in {load} ms geladen.',
    memory: 'Speicher der Seite: {megabytes} MB.',
    seen: 'Der Hersteller hat diese Datei hier richtig rechnen sehen.', unseen: 'Der Hersteller hat diese Datei hier nicht erprobt.',
    light: 'zu dunkel: für mehr Licht sorgen', clipped: 'zu hell: Spiegelungen und direktes Licht vermeiden',
    contrast: 'nichts zu sehen: den Fleck in die Mitte bringen und die Linse frei halten',
    fine: 'unscharf: stillhalten und die Kamera scharfstellen lassen',
    coarse: 'unscharf oder verwackelt: stillhalten und die Kamera scharfstellen lassen',
    busy: 'zu viel feine Struktur für Haut: näher heran, auf den Fleck zielen',
    warm: 'kaum Farbe von Haut: auf den Fleck zielen, bei weißem Licht',
    green: 'zu viel Grün für Haut: auf den Fleck zielen, bei weißem Licht',
    spot: 'kein Fleck zu sehen: in die Mitte bringen und näher heran',
  },
};

// Words for units of a manifest, which has one for all languages; others are shown as they stand there.
export const UNITS = {de: new Map([['years', 'Jahre'], ['months', 'Monate'], ['weeks', 'Wochen'], ['days', 'Tage']])};

/** The text of a name in a language, with {places} filled in. */
export function text(language, name, places = {}) {
  return TEXTS[language][name].replace(/\{(\w+)\}/g, (_, place) => String(places[place]));
}

/** Of a manifest's language -> words: those of the language, else the first. */
export const words = (texts, language) => texts[language] ?? Object.values(texts)[0];
