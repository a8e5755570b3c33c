// Objects, buffers, JSON, compression and worker threads; prints what can be compared.
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { createHash } = require('node:crypto');
const zlib = require('node:zlib');

function work(seed) {
    const rows = [];
    for (let i = 0; i < 20000; i++) rows.push({ id: i, text: 'x'.repeat((i * seed) % 50) });
    const text = JSON.stringify(rows);
    const packed = zlib.gunzipSync(zlib.gzipSync(Buffer.from(text)));
    const buffers = [];
    for (let i = 0; i < 3000; i++) buffers.push(Buffer.alloc(1 + ((i * 37) % 70000), i % 256));
    const hash = createHash('sha256').update(packed);
    buffers.forEach((buffer) => hash.update(buffer));
    return hash.digest('hex');
}

if (isMainThread) {
    const seeds = [1, 2, 3, 4];
    Promise.all(seeds.map((seed) => new Promise((done, failed) => {
        new Worker(__filename, { workerData: seed }).on('message', done).on('error', failed);
    }))).then((found) => {
        const alone = seeds.map(work);
        if (found.join() !== alone.join()) throw new Error('workers differ');
        console.log(found.join(' '));
    });
} else {
    parentPort.postMessage(work(workerData));
}
