// One .tflite with LiteRT.js, for edge/runtimes/browser.py, which calls the two functions at the end. Bytes travel as
// base64, because the DevTools protocol carries text.
import {loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';

const ARRAYS = {float32: Float32Array, int32: Int32Array, uint8: Uint8Array};
let model;

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function base64Of(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

const facts = ({name, dtype, shape}) => ({name, dtype, shape: Array.from(shape)});

// The runtime without threads, which needs no headers of the server. Resolves to the inputs and outputs.
globalThis.openModel = async (address) => {
  await loadLiteRt('/litertjs/core/wasm/');
  model = await loadAndCompile(address, {accelerator: 'wasm'});
  return {inputs: model.getInputDetails().map(facts), outputs: model.getOutputDetails().map(facts)};
};

// The outputs for one set of inputs, and the milliseconds of the run alone.
globalThis.answer = async (inputs) => {
  const tensors = model.getInputDetails().map(
    ({dtype, shape}, i) => new Tensor(new ARRAYS[dtype](bytesOf(inputs[i]).buffer), Array.from(shape)));
  let results = [];
  try {
    const begun = performance.now();
    results = await model.run(tensors);
    const arrays = await Promise.all(results.map((tensor) => tensor.data()));
    return {milliseconds: performance.now() - begun, outputs: arrays.map(base64Of)};
  } finally {
    for (const tensor of [...tensors, ...results]) tensor.delete();
  }
};
