// What this device answered in the self-test, as `dermedge parity --device-report` reads it. Nothing is sent: the user saves it.
import {LITERTJS, sha256} from './model.js';

const LONGEST = 200; // letters of a name

/** The text of device-report.json for a result of selfTest. */
export async function deviceReport(model, tested) {
  const {entry, milliseconds} = model;
  const body = JSON.stringify({
    schema: 'dermedge/device-report/1',
    device: {
      model: (navigator.userAgentData?.platform || navigator.platform || 'unknown').slice(0, LONGEST),
      system: (navigator.userAgent || 'unknown').slice(0, LONGEST),
    },
    runtime: {library: 'litertjs', version: LITERTJS, accelerator: 'wasm'},
    file: {name: entry.file, sha256: entry.sha256},
    images: tested.rows.map(({rgb, answers, obtained}) => ({rgb_sha256: rgb, answers, probabilities: obtained})),
    milliseconds: {load: milliseconds, first: tested.cold, median: tested.median, p90: tested.p90, runs: tested.runs},
    memory_bytes: tested.memory,
  });
  return JSON.stringify({body, sha256: await sha256(new TextEncoder().encode(body))});
}
