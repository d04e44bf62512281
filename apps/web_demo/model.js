// The bundled model: its manifest and file, checked, and what it says of a square.
import {loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';

import {fileOf, readManifest} from './core/manifest.js';
import {Refused} from './core/refused.js';

export const LITERTJS = '2.5.3'; // as in edge/phones/litertjs/package.json; a test compares them
const FOLDER = './model/';
const ARRAYS = {float32: Float32Array, int32: Int32Array, uint8: Uint8Array};

async function fetched(name) {
  const answer = await fetch(FOLDER + name);
  if (!answer.ok) throw new Refused(`the bundle has no ${name}; run dermedge bundle again`);
  return new Uint8Array(await answer.arrayBuffer());
}

export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A file of the bundle; Refused unless its SHA-256 is the manifest's. */
export async function checkedFile(name, hash) {
  const bytes = await fetched(name);
  if ((await sha256(bytes)) !== hash) throw new Refused(`${name} is not the file of the manifest; run dermedge bundle again`);
  return bytes;
}

export class Model {
  /** Reads and checks the bundle and opens its file. Throws Refused with a sentence for the person at the screen. */
  static async load() {
    const begun = performance.now();
    const manifest = readManifest(new TextDecoder().decode(await fetched('manifest.json')));
    const entry = fileOf(manifest, `LiteRT.js ${LITERTJS}`);
    const bytes = await checkedFile(entry.file, entry.sha256);
    await loadLiteRt('./litertjs/core/wasm/');
    const compiled = await loadAndCompile(bytes, {accelerator: 'wasm'});
    return new Model(manifest, entry, compiled, performance.now() - begun);
  }

  constructor(manifest, entry, compiled, milliseconds) {
    Object.assign(this, {manifest, entry, compiled, milliseconds, side: manifest.input.side});
    this.questions = entry.answers ? manifest.questions : [];
    this.codes = manifest.labels.map(({code}) => code);
    this.checkTensors();
  }

  /** Throws Refused unless the file has the inputs and outputs of the manifest, and no others. */
  checkTensors() {
    const {manifest: {mask}, entry: {file, input, output, answers}, side, codes, compiled} = this;
    const places = this.questions.reduce((sum, {length}) => sum + length, 0);
    const has = (details, wanted) => {
      const told = details.map(({dtype, shape}) => `${dtype} ${Array.from(shape).join(' x ')}`).sort();
      return told.join() === wanted.filter(Boolean).sort().join();
    };
    const good = has(compiled.getInputDetails(), [`${input.dtype} 1 x ${side} x ${side} x 3`, answers && `float32 1 x ${places}`])
      && has(compiled.getOutputDetails(), [`${output.dtype} 1 x ${codes.length}`, mask && `float32 1 x ${side} x ${side} x 1`]);
    if (!good) throw new Refused(`${file} has other inputs or outputs than the manifest says; run dermedge bundle again`);
  }

  /** {probabilities, mask}: of a square, Uint8Array of side x side x 3, and a vector of answers, Float32Array. */
  async run(square, answers) {
    const tensors = this.compiled.getInputDetails().map(({name, dtype, shape}) =>
      new Tensor(ARRAYS[dtype].from(name === 'answers' ? answers : square), Array.from(shape)));
    let results = [];
    try {
      results = await this.compiled.run(tensors);
      const outputs = await Promise.all(results.map((tensor) => tensor.data()));
      const shapes = this.compiled.getOutputDetails().map(({shape}) => shape.length);
      const {scale = 1, zero_point: zero = 0} = this.entry.output;
      const mask = outputs[shapes.indexOf(4)];
      return {
        probabilities: Array.from(outputs[shapes.indexOf(2)], (number) => (number - zero) * scale),
        mask: mask ? Float32Array.from(mask) : null,
      };
    } finally {
      for (const tensor of [...tensors, ...results]) tensor.delete();
    }
  }
}
