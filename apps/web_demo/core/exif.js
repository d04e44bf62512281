// What an EXIF block says of orientation and colours (EXIF 2.32, DCF 2.0). Damaged parts count as not there.
const MOST_TAGS = 1000;
const SRGB = 1;
const ADOBE_RGB = 2;
const WIDE_GAMUT = 65533;

/** {orientation: 1 to 8, otherSpace: whether it states another space than sRGB} of a block that begins with II or MM. */
export function readExif(block) {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const little = block[0] === 0x49 && block[1] === 0x49;
  const nothing = {orientation: 1, otherSpace: false};
  if (block.length < 8 || !(little || (block[0] === 0x4d && block[1] === 0x4d))) return nothing;
  const short = (at) => (at >= 0 && at + 2 <= block.length ? view.getUint16(at, little) : 0);
  const long = (at) => (at >= 0 && at + 4 <= block.length ? view.getUint32(at, little) : 0);
  // The tags of a directory, each with the byte where its entry of 12 bytes begins; of two the first counts.
  const tagsAt = (start) => {
    const tags = new Map();
    if (start < 8) return tags;
    const count = Math.min(short(start), MOST_TAGS);
    for (let at = start + 2; at < start + 2 + 12 * count && at + 12 <= block.length; at += 12) {
      if (!tags.has(short(at))) tags.set(short(at), at);
    }
    return tags;
  };
  if (short(2) !== 42) return nothing;
  const root = tagsAt(long(4));
  const photo = root.has(0x8769) ? tagsAt(long(root.get(0x8769) + 8)) : new Map();
  const names = photo.has(0xa005) ? tagsAt(long(photo.get(0xa005) + 8)) : new Map();
  const index = names.has(1) ? String.fromCharCode(...block.subarray(names.get(1) + 8, names.get(1) + 11)) : '';
  const space = photo.has(0xa001) ? short(photo.get(0xa001) + 8) : 0;
  const primaries = root.has(0x013e) && root.has(0x013f);
  const unknown = index !== 'R98' && (index === 'R03' || primaries);
  const orientation = root.has(0x0112) ? short(root.get(0x0112) + 8) : 1;
  return {
    orientation: orientation >= 1 && orientation <= 8 ? orientation : 1,
    otherSpace: space !== SRGB && (space === ADOBE_RGB || space === WIDE_GAMUT || unknown),
  };
}

/** The turn that makes a picture of an orientation upright, as `upright` of camera.js takes it. */
export const turnOf = (orientation) => ({
  rotation: [0, 0, 0, 180, 180, 90, 90, 270, 270][orientation], mirrored: [2, 4, 5, 7].includes(orientation),
});
