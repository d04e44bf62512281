// In a browser: what photo.js makes of files. {name: {width, height, rgb in base64}} or {name: {refused: why}}.
import {Refused} from '../core/refused.js';
import {readPhoto, rgbOf} from '../photo.js';

/** `names`: of files below `folder`, an address. */
export async function readAll(folder, names) {
  const read = {};
  for (const name of names) {
    const content = await (await fetch(folder + encodeURIComponent(name))).blob();
    try {
      const picture = await readPhoto(new File([content], name));
      const letters = Array.from(rgbOf(picture), (byte) => String.fromCharCode(byte));
      read[name] = {width: picture.width, height: picture.height, rgb: btoa(letters.join(''))};
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      read[name] = {refused: error.message};
    }
  }
  return read;
}
