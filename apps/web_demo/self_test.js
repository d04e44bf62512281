// The self-test that the manifest brings along, run on this device.
import {getGlobalLiteRt} from '@litertjs/core';

import {Refused} from './core/refused.js';
import {checkedFile, LITERTJS, sha256} from './model.js';
import {readPhoto, rgbOf} from './photo.js';

const REPEATS = 10; // timed runs of each image
const SEEN_AS = ['browser', 'device-litertjs'];
const LEAD = 0.2; // between the float model's first two probabilities: it is not in doubt

const highest = (numbers) => numbers.indexOf(Math.max(...numbers));
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

function wrong(obtained, reference) {
  if (!obtained.every(Number.isFinite)) return true;
  const [first, second] = [...reference].sort((a, b) => b - a);
  return first - second > LEAD && highest(obtained) !== highest(reference);
}

/** Of the page: its scripts and what LiteRT.js holds; null where the browser does not say, as all but Chromium. */
function memoryBytes() {
  const scripts = performance.memory?.usedJSHeapSize;
  const runtime = getGlobalLiteRt().liteRtWasm.HEAPU8?.byteLength;
  return scripts && runtime ? scripts + runtime : null;
}

/** {rows, failed, delta, cold, runs, median, p90, seen, memory}: times in milliseconds. `seen`: the maker saw it right in this runtime. */
export async function selfTest(model) {
  const {manifest, entry, side} = model;
  const rows = [];
  const times = [];
  let cold = null;
  for (const test of manifest.self_test.filter(({expected}) => expected[entry.file])) {
    const bytes = await checkedFile(test.image, test.sha256);
    const square = rgbOf(await readPhoto(new File([bytes], test.image, {type: 'image/png'})));
    if (square.length !== side * side * 3 || (await sha256(square)) !== test.rgb_sha256) {
      throw new Refused(`${test.image}: this browser reads other pixels than the model's maker`);
    }
    const answers = Float32Array.from(test.answers ?? []);
    let obtained;
    for (let i = 0; i <= REPEATS; i += 1) {
      const begun = performance.now();
      obtained = (await model.run(square, answers)).probabilities;
      if (cold === null) cold = performance.now() - begun;
      else times.push(performance.now() - begun);
    }
    const expected = test.expected[entry.file];
    const delta = Math.max(...expected.map((p, i) => Math.abs(p - obtained[i])));
    rows.push({
      image: test.image, rgb: test.rgb_sha256, answers: test.answers ?? null, expected, obtained, delta, failed: wrong(obtained, test.reference),
    });
  }
  if (!rows.length) throw new Refused('the bundle has no self-test image for its file');
  times.sort((a, b) => a - b);
  return {
    rows, cold, runs: times.length, median: at(times, 0.5), p90: at(times, 0.9),
    failed: rows.filter((row) => row.failed).map(({image}) => image),
    delta: Math.max(...rows.map((row) => row.delta)),
    memory: memoryBytes(),
    seen: entry.seen_right.some(({runtime, version}) => SEEN_AS.includes(runtime) && version === LITERTJS),
  };
}
