// docs/preprocess.md, section 2 (version area-2): upright pixels become the square that the model sees.
import {Refused, whole} from './refused.js';

export const VERSION = 'area-2';
export const MAX_LENGTH = 20000; // pixels along a side of a picture
export const MAX_PIXELS = 50000000;
export const MAX_SIDE = 4096; // pixels along a side of the model's input

/** Throws Refused unless a picture may have this size. */
export function checkSize(width, height) {
  whole(width, 1, MAX_LENGTH, 'the width of a picture');
  whole(height, 1, MAX_LENGTH, 'the height of a picture');
  if (width * height > MAX_PIXELS) {
    throw new Refused(`a picture has at most ${MAX_PIXELS} pixels, this one has ${width} x ${height}`);
  }
}

/** For each of `side` pixels: the first of the `length` sources that it covers, and the length of each overlap. */
function spans(length, side) {
  return Array.from({length: side}, (_, i) => {
    const first = Math.floor((i * length) / side);
    const last = Math.floor(((i + 1) * length - 1) / side);
    const overlaps = [];
    for (let j = first; j <= last; j += 1) {
      overlaps.push(Math.min((i + 1) * length, (j + 1) * side) - Math.max(i * length, j * side));
    }
    return {first, overlaps};
  });
}

/**
 * The model's input, Uint8Array of side x side x 3 (RGB, rows from the top).
 * `picture`: {width, height, data}, upright, sRGB; `data` holds bytes of RGB or, as a canvas gives them, of RGBA, whose
 * alpha is left out. Throws Refused for sizes and buffers that the page refuses. Every sum is exact in a double.
 */
export function modelInput({width, height, data}, side) {
  checkSize(width, height);
  whole(side, 1, MAX_SIDE, "the side of the model's input");
  const bytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray;
  const channels = bytes ? data.length / (width * height) : 0;
  if (channels !== 3 && channels !== 4) {
    throw new Refused(`a picture of ${width} x ${height} pixels has 3 or 4 bytes for each`);
  }
  const shorter = Math.min(width, height);
  const top = Math.floor((height - shorter) / 2);
  const left = Math.floor((width - shorter) / 2);
  const covered = spans(shorter, side);
  const area = shorter * shorter;
  const result = new Uint8Array(side * side * 3);
  const sums = new Float64Array(shorter * 3);
  for (let i = 0; i < side; i += 1) {
    sums.fill(0);
    covered[i].overlaps.forEach((overlap, r) => {
      let from = ((top + covered[i].first + r) * width + left) * channels;
      for (let q = 0; q < sums.length; q += 3, from += channels) {
        sums[q] += overlap * data[from];
        sums[q + 1] += overlap * data[from + 1];
        sums[q + 2] += overlap * data[from + 2];
      }
    });
    for (let k = 0; k < side; k += 1) {
      const {first, overlaps} = covered[k];
      for (let c = 0; c < 3; c += 1) {
        let total = 0;
        for (let q = 0; q < overlaps.length; q += 1) total += overlaps[q] * sums[(first + q) * 3 + c];
        result[(i * side + k) * 3 + c] = Math.floor((2 * total + area) / (2 * area));
      }
    }
  }
  return result;
}
