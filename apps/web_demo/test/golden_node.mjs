// node golden_node.mjs FOLDER: the golden vectors of FOLDER (tests/golden) under node; prints the result as JSON.
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';

import {runGolden} from './golden.js';

const folder = process.argv[2];
const read = async (name) => JSON.parse(await readFile(join(folder, name, 'cases.json'), 'utf8'));
console.log(JSON.stringify(await runGolden(read)));
