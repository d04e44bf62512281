// node golden_node.mjs FOLDER [PART ...]: the golden vectors of FOLDER (tests/golden) under node, or those of some parts;
// prints the result as JSON.
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

import {runGolden} from './golden.js';

const [, , folder, ...parts] = process.argv;
const read = async (name) => JSON.parse(await readFile(join(folder, name, 'cases.json'), 'utf8'));
console.log(JSON.stringify(await runGolden(read, parts.length ? parts : undefined)));
