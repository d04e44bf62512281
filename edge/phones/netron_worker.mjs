// What Netron's own readers make of a file or package: node netron_worker.mjs NETRON FILE, one line of JSON out.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , netron, file] = process.argv;
const load = (name) => import(pathToFileURL(path.join(netron, name)));
const [base, view] = [await load('base.js'), await load('view.js')];

const stream = (place) => new base.BinaryStream(new Uint8Array(fs.readFileSync(place)));
const filesIn = (folder) => fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const place = path.join(folder, entry.name);
    return entry.isDirectory() ? filesIn(place) : [place];
});
const root = path.dirname(path.resolve(file));
const folder = fs.statSync(file).isDirectory();
const inside = folder ? filesIn(path.resolve(file)) : [];
const context = {
    identifier: path.basename(file),
    name: path.basename(file),
    stream: folder ? null : stream(file),
    entries: new Map(inside.map((place) => [path.relative(root, place), stream(place)])),
    asset: (name) => fs.promises.readFile(path.join(netron, name), 'utf-8'),
    fetch: async (name, encoding, from) => stream(path.join(root, from ?? '', name)),
    require: (name) => load(`${name.replace('./', '')}.js`),
    error: (error) => { throw error; }
};
const service = new view.ModelFactoryService({ environment: () => null, require: context.require, asset: context.asset });
const model = await service.open(context);
const [graph] = model.modules;
const ends = (some) => some.map((one) => ({
    name: one.name, type: String(one.value[0].type), description: one.value[0].description || ''
}));
console.log(JSON.stringify({
    format: model.format,
    name: model.name || '',
    description: model.description || '',
    metadata: Object.fromEntries(Array.from(model.metadata || []).map((one) => [one.name, String(one.value)])),
    inputs: ends(graph.inputs),
    outputs: ends(graph.outputs),
    operators: graph.nodes.map((node) => node.type.name)
}));
