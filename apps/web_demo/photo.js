// A file or a moment of the camera as upright sRGB pixels. What a browser would show otherwise than dermedge reads it is
// refused by name, rather than answered wrongly.
import {checkSize} from './core/preprocess.js';
import {Refused} from './core/refused.js';

const MAX_BYTES = 100 * 2 ** 20;
const PNG = [137, 80, 78, 71, 13, 10, 26, 10];
// Chunks by which a PNG states a colour or an orientation that browsers and dermedge take differently.
const STATED = ['cICP', 'gAMA', 'cHRM', 'iCCP', 'eXIf', 'acTL', 'tRNS'];

/** Throws Refused unless the file is a JPEG of one or three components, or a plain PNG of 8 bits. */
export function checkKind(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff;) {
      const marker = bytes[at + 1];
      if (marker === 0xff) {
        at += 1;
        continue;
      }
      const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
      if (frame) {
        checkSize(view.getUint16(at + 7), view.getUint16(at + 5));
        if (bytes[at + 9] === 1 || bytes[at + 9] === 3) return;
        throw new Refused('this JPEG is made for print (CMYK); save it as an ordinary one');
      }
      at += 2 + view.getUint16(at + 2);
    }
    throw new Refused('this JPEG is damaged');
  }
  if (PNG.every((byte, i) => bytes[i] === byte) && bytes.length > 33) {
    checkSize(view.getUint32(16), view.getUint32(20));
    if (bytes[24] !== 8) throw new Refused(`this PNG has ${bytes[24]} bits per colour; save it with 8, or as JPEG`);
    for (let at = 8; at + 12 <= bytes.length;) {
      const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      if (STATED.includes(name)) throw new Refused(`this PNG has a part ${name}, which browsers read differently; save it as JPEG`);
      at += 12 + view.getUint32(at);
    }
    return;
  }
  throw new Refused('this is neither a JPEG nor a PNG; save it as JPEG');
}

function pixelsOf(source, width, height) {
  checkSize(width, height);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', {willReadFrequently: true, colorSpace: 'srgb'});
  context.drawImage(source, 0, 0);
  return {width, height, data: context.getImageData(0, 0, width, height).data};
}

/** The pixels of a photograph, {width, height, data} with data RGBA. Throws Refused with the reason. */
export async function readPhoto(file) {
  if (file.size > MAX_BYTES) throw new Refused('this file is larger than 100 MB');
  checkKind(new Uint8Array(await file.arrayBuffer()));
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {imageOrientation: 'from-image', premultiplyAlpha: 'none'});
  } catch {
    throw new Refused('this photograph is damaged: the browser cannot read it');
  }
  const picture = pixelsOf(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  for (let i = 3; i < picture.data.length; i += 4) {
    if (picture.data[i] !== 255) throw new Refused('this picture is transparent in places; save it as JPEG');
  }
  return picture;
}

/** The pixels that a playing video shows now. */
export const frameOf = (video) => pixelsOf(video, video.videoWidth, video.videoHeight);

/** RGB of RGBA. */
export function rgbOf({width, height, data}) {
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0, j = 0; j < rgb.length; i += 4, j += 3) rgb.set(data.subarray(i, i + 3), j);
  return rgb;
}
