// What can be told of a photograph before the browser decodes it: what browsers read otherwise than dermedge
// (docs/preprocess.md, Files and Colour) is refused by name here, rather than answered wrongly.
import {readExif} from './exif.js';
import {checkSize} from './preprocess.js';
import {Refused} from './refused.js';

const MAX_BYTES = 100 * 2 ** 20;
const PNG = [137, 80, 78, 71, 13, 10, 26, 10];
const CODED_SPACES = ['1,13,0,1', '12,13,0,1']; // cICP: sRGB and Display P3; others are dark, bright or rare
const PNG_COLOURS = ['cICP', 'iCCP', 'sRGB', 'gAMA']; // statements that come before that of EXIF
const EXIF = 'Exif\0\0';
const PROFILE = 'ICC_PROFILE\0';
const OTHER_SPACE = 'this photograph states its colour space in the EXIF data, which browsers ignore; save it in sRGB';

const letters = (bytes, at, count) => String.fromCharCode(...bytes.subarray(at, at + count));
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Throws Refused for a file of more bytes than are read. */
export function checkBytes(count) {
  if (count > MAX_BYTES) throw new Refused('this file is larger than 100 MB');
}

/** The orientation that is left to be turned after the browser has decoded the file. Throws Refused with the reason. */
export function checkFile(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return checkJpeg(bytes);
  if (PNG.every((byte, i) => bytes[i] === byte) && bytes.length > 33) return checkPng(bytes);
  if (letters(bytes, 0, 4) === 'RIFF' && letters(bytes, 8, 4) === 'WEBP') return checkWebp(bytes);
  throw new Refused('this is neither a JPEG nor a PNG nor a WebP file; save it as JPEG');
}

/** Browsers turn JPEG files themselves. */
function checkJpeg(bytes) {
  const view = viewOf(bytes);
  let [frame, profile, exif] = [false, false, null];
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker === 0xda) break; // the pixels begin
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      checkSize(view.getUint16(at + 7), view.getUint16(at + 5));
      if (bytes[at + 9] !== 1 && bytes[at + 9] !== 3) {
        throw new Refused('this JPEG is made for print (CMYK); save it as an ordinary one');
      }
      frame = true;
    }
    const end = at + 2 + view.getUint16(at + 2);
    if (marker === 0xe1 && exif === null && letters(bytes, at + 4, EXIF.length) === EXIF) {
      exif = readExif(bytes.subarray(at + 4 + EXIF.length, end));
    }
    if (marker === 0xe2 && letters(bytes, at + 4, PROFILE.length) === PROFILE) profile = true;
    at = end;
  }
  if (!frame) throw new Refused('this JPEG is damaged');
  if (exif?.otherSpace && !profile) throw new Refused(OTHER_SPACE);
  return 1;
}

/** Browsers turn PNG files whose EXIF data stand before the pixels. */
function checkPng(bytes) {
  const view = viewOf(bytes);
  checkSize(view.getUint32(16), view.getUint32(20));
  if (bytes[24] > 8) throw new Refused(`this PNG has ${bytes[24]} bits per colour; save it with 8, or as JPEG`);
  const before = new Set();
  let [pixels, orientation] = [false, 1];
  for (let at = 8; at + 12 <= bytes.length;) {
    const name = letters(bytes, at + 4, 4);
    const content = bytes.subarray(at + 8, at + 8 + view.getUint32(at));
    if (name === 'acTL') throw new Refused('this PNG is animated; save one picture of it as JPEG');
    if (name === 'cICP' && !CODED_SPACES.includes(content.join())) {
      throw new Refused('this PNG has a colour space (cICP) that browsers read differently; save it as JPEG in sRGB');
    }
    if (name === 'IDAT') pixels = true;
    if (!pixels) before.add(name);
    if (name === 'eXIf') {
      const exif = readExif(content);
      if (exif.otherSpace && !PNG_COLOURS.some((chunk) => before.has(chunk))) throw new Refused(OTHER_SPACE);
      if (pixels) orientation = exif.orientation;
    }
    at += 12 + view.getUint32(at);
  }
  if (before.has('cHRM') && !PNG_COLOURS.some((chunk) => before.has(chunk))) {
    throw new Refused('this PNG has a part cHRM alone, which browsers ignore; save it as JPEG in sRGB');
  }
  return orientation;
}

/** Browsers do not turn WebP files. */
function checkWebp(bytes) {
  const view = viewOf(bytes);
  let [orientation, profile, otherSpace] = [1, false, false];
  for (let at = 12; at + 8 <= bytes.length;) {
    const name = letters(bytes, at, 4);
    const length = view.getUint32(at + 4, true);
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (name === 'ANIM') throw new Refused('this WebP file is animated; save one picture of it as JPEG');
    if (name === 'VP8X' && content.length >= 10) {
      const size = (from) => 1 + content[from] + 256 * content[from + 1] + 65536 * content[from + 2];
      checkSize(size(4), size(7));
    }
    if (name === 'ICCP') profile = true;
    if (name === 'EXIF') {
      const begun = letters(content, 0, EXIF.length) === EXIF ? EXIF.length : 0;
      ({orientation, otherSpace} = readExif(content.subarray(begun)));
    }
    at += 8 + length + (length % 2);
  }
  if (otherSpace && !profile) throw new Refused(OTHER_SPACE);
  return orientation;
}
