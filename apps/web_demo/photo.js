// A file or a moment of the camera as upright sRGB pixels.
import {upright} from './core/camera.js';
import {turnOf} from './core/exif.js';
import {checkFile, checkBytes} from './core/photo_file.js';
import {checkSize} from './core/preprocess.js';
import {Refused} from './core/refused.js';

function pixelsOf(source, width, height) {
  checkSize(width, height);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', {willReadFrequently: true, colorSpace: 'srgb'});
  context.drawImage(source, 0, 0);
  return {width, height, data: context.getImageData(0, 0, width, height).data};
}

/** The pixels of a photograph, {width, height, data} with data RGB or RGBA. Throws Refused with the reason. */
export async function readPhoto(file) {
  checkBytes(file.size);
  const left = checkFile(new Uint8Array(await file.arrayBuffer()));
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
  return left === 1 ? picture : upright({...picture, data: rgbOf(picture)}, turnOf(left));
}

/** The pixels that a playing video shows now. */
export const frameOf = (video) => pixelsOf(video, video.videoWidth, video.videoHeight);

/** RGB of RGBA, or of RGB. */
export function rgbOf({width, height, data}) {
  if (data.length === 3 * width * height) return data;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0, j = 0; j < rgb.length; i += 4, j += 3) rgb.set(data.subarray(i, i + 3), j);
  return rgb;
}
