// Runs the module: `node run.mjs MODULE [KIND OF MISUSE]`. Exits with 0 if everything holds, with 101 if
// the module traps, which it does at misuse.
import { readFileSync, writeSync } from "node:fs";

const kinds = ["double", "foreign", "interior"];
const [file, misuse] = process.argv.slice(2);
const host = {
    print(start, bytes) {
        writeSync(1, new Uint8Array(exports.memory.buffer, start, bytes));
    },
};
const { instance } = await WebAssembly.instantiate(readFileSync(file), { host });
const { exports } = instance;
try {
    if (misuse === undefined) {
        exports.checks();
    } else {
        exports.stops(kinds.indexOf(misuse));
    }
} catch (trap) {
    if (!(trap instanceof WebAssembly.RuntimeError)) throw trap;
    console.log(trap.message);
    process.exit(101);
}
