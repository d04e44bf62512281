// docs/preprocess.md, section 1: frames of a camera become upright RGB.
import {checkSize} from './preprocess.js';
import {Refused, whole} from './refused.js';

// 65536 times what luma adds, V adds to red, U and V to green, U to blue; then luma's offset.
const CONSTANTS = {
  bt601: {limited: [76309, 104597, -25675, -53279, 132201, 16], full: [65536, 91881, -22553, -46802, 116130, 0]},
  bt709: {limited: [76309, 117489, -13975, -34925, 138438, 16], full: [65536, 103206, -12276, -30679, 121609, 0]},
};
const MAX_STRIDE = 2 ** 31; // bytes
const ROTATIONS = [0, 90, 180, 270];

const part = (constant, value) => (constant * value + 512) >> 10; // in 64ths, rounded
const clamp = (value) => Math.max(0, Math.min(255, value));

/** Throws Refused unless a plane of `columns` x `rows` samples lies in `data` with these strides. */
function checkPlane({data, rowStride, pixelStride}, columns, rows, sampleBytes, name) {
  if (!(data instanceof Uint8Array) && !(data instanceof Uint8ClampedArray)) throw new Refused(`${name}: no bytes`);
  whole(pixelStride, 1, MAX_STRIDE, `${name}: the pixel stride`);
  whole(rowStride, 1, MAX_STRIDE, `${name}: the row stride`);
  const row = (columns - 1) * pixelStride + sampleBytes;
  if (rowStride < row) throw new Refused(`${name}: a row has ${row} bytes, the row stride is ${rowStride}`);
  const needed = (rows - 1) * rowStride + row;
  if (data.length < needed) throw new Refused(`${name} takes ${needed} bytes, got ${data.length}`);
}

/**
 * A frame in YUV 4:2:0 as RGB: {width, height, data}.
 * `planes`: Y, U and V, each {data, rowStride, pixelStride}, strides in bytes. `matrix`: 'bt601' or 'bt709';
 * `fullRange`: a boolean. Both are stated by the frame; neither has a default.
 */
export function rgbOfYuv({width, height, planes, matrix, fullRange}) {
  checkSize(width, height);
  if (!Object.hasOwn(CONSTANTS, matrix)) throw new Refused(`the matrix is bt601 or bt709, got ${String(matrix)}`);
  if (typeof fullRange !== 'boolean') throw new Refused('the frame does not say whether it has the full range');
  if (!Array.isArray(planes) || planes.length !== 3) throw new Refused('a frame has the three planes Y, U and V');
  const halves = [Math.ceil(width / 2), Math.ceil(height / 2)];
  planes.forEach((plane, i) => {
    const [columns, rows] = i === 0 ? [width, height] : halves;
    checkPlane(plane, columns, rows, 1, `plane ${'YUV'[i]}`);
  });
  const [luma, vToRed, uToGreen, vToGreen, uToBlue, offset] = CONSTANTS[matrix][fullRange ? 'full' : 'limited'];
  const [Y, U, V] = planes;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, to += 3) {
      const light = part(luma, Y.data[y * Y.rowStride + x * Y.pixelStride] - offset) + 32;
      const u = U.data[(y >> 1) * U.rowStride + (x >> 1) * U.pixelStride] - 128;
      const v = V.data[(y >> 1) * V.rowStride + (x >> 1) * V.pixelStride] - 128;
      data[to] = clamp((light + part(vToRed, v)) >> 6);
      data[to + 1] = clamp((light + part(uToGreen, u) + part(vToGreen, v)) >> 6);
      data[to + 2] = clamp((light + part(uToBlue, u)) >> 6);
    }
  }
  return {width, height, data};
}

/** Three planes in one buffer without gaps, for `rgbOfYuv`. `layout`: 'nv21', 'nv12' or 'i420'. */
export function planesOf(layout, buffer, width, height) {
  checkSize(width, height);
  const columns = Math.ceil(width / 2);
  const samples = columns * Math.ceil(height / 2);
  const luma = width * height;
  const needed = luma + 2 * samples;
  if (buffer.length < needed) throw new Refused(`${layout} takes ${needed} bytes, got ${buffer.length}`);
  const Y = {data: buffer.subarray(0, luma), rowStride: width, pixelStride: 1};
  const apart = (from) => ({data: buffer.subarray(from, from + samples), rowStride: columns, pixelStride: 1});
  const mixed = (from) => ({data: buffer.subarray(from, luma + 2 * samples), rowStride: 2 * columns, pixelStride: 2});
  if (layout === 'i420') return [Y, apart(luma), apart(luma + samples)];
  if (layout === 'nv12') return [Y, mixed(luma), mixed(luma + 1)];
  if (layout === 'nv21') return [Y, mixed(luma + 1), mixed(luma)];
  throw new Refused(`the layout is nv21, nv12 or i420, got ${String(layout)}`);
}

/** A frame of blue, green, red, alpha as RGB: {width, height, data}; alpha is ignored. `rowStride` in bytes. */
export function rgbOfBgra({width, height, data: source, rowStride}) {
  checkSize(width, height);
  checkPlane({data: source, rowStride, pixelStride: 4}, width, height, 4, 'BGRA');
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, to += 3) {
      const from = y * rowStride + 4 * x;
      data[to] = source[from + 2];
      data[to + 1] = source[from + 1];
      data[to + 2] = source[from];
    }
  }
  return {width, height, data};
}

/**
 * The crop of an RGB frame, turned clockwise by `rotation` degrees, then with left and right exchanged if `mirrored`.
 * `crop`: [left, top, right, bottom] in pixels of the frame as it is stored; right and bottom are outside.
 */
export function upright(frame, {crop = [0, 0, frame.width, frame.height], rotation = 0, mirrored = false} = {}) {
  if (!ROTATIONS.includes(rotation)) throw new Refused(`the rotation is 0, 90, 180 or 270, got ${String(rotation)}`);
  if (!Array.isArray(crop) || crop.length !== 4 || !crop.every(Number.isInteger)) {
    throw new Refused('a crop is four whole numbers: left, top, right, bottom');
  }
  const [left, top, right, bottom] = crop;
  if (left < 0 || top < 0 || right > frame.width || bottom > frame.height || left >= right || top >= bottom) {
    throw new Refused(`the crop ${crop.join(', ')} is empty or leaves the frame of ${frame.width} x ${frame.height}`);
  }
  const [w, h] = [right - left, bottom - top];
  const [width, height] = rotation % 180 ? [h, w] : [w, h];
  // where the upper left corner comes from, and the bytes from there to the next column and row
  const row = 3 * frame.width;
  const corner = (column, line) => (top + line) * row + 3 * (left + column);
  let [from, toColumn, toRow] = {
    0: [corner(0, 0), 3, row], 90: [corner(0, h - 1), -row, 3],
    180: [corner(w - 1, h - 1), -3, -row], 270: [corner(w - 1, 0), row, -3],
  }[rotation];
  if (mirrored) [from, toColumn] = [from + (width - 1) * toColumn, -toColumn];
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y += 1, from += toRow) {
    for (let x = 0, at = from; x < width; x += 1, at += toColumn, to += 3) {
      data[to] = frame.data[at];
      data[to + 1] = frame.data[at + 1];
      data[to + 2] = frame.data[at + 2];
    }
  }
  return {width, height, data};
}
